//! A plan: requests in the order they are sent.
//!
//! Little-endian: the magic `ABPLAN1\n`, a u32 count, then for each request: u32 length of the
//! head, u64 offset and u64 length of the body in the pool, u64 offset and u64 length in the pool
//! of the body that is to be answered (length `u64::MAX`: anything), and the head itself, which
//! ends with an empty line.

const MAGIC: &[u8] = b"ABPLAN1\n";
const ANYTHING: u64 = u64::MAX;

/// One request: what is sent, and what must come back.
pub struct Step<'a> {
    pub head: &'a [u8],
    pub body: &'a [u8],
    pub expected: Option<&'a [u8]>,
}

pub struct Plan<'a> {
    pub steps: Vec<Step<'a>>,
}

impl<'a> Plan<'a> {
    pub fn parse(data: &'a [u8], pool: &'a [u8]) -> Result<Self, String> {
        let mut rest = data.strip_prefix(MAGIC).ok_or("not a plan")?;
        let count = u32::from_le_bytes(take::<4>(&mut rest)?);
        let mut steps = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let length = u32::from_le_bytes(take::<4>(&mut rest)?) as usize;
            let body = part(pool, number(&mut rest)?, number(&mut rest)?)?;
            let (offset, size) = (number(&mut rest)?, number(&mut rest)?);
            let expected = if size == ANYTHING {
                None
            } else {
                Some(part(pool, offset, size)?)
            };
            let (head, after) = rest.split_at_checked(length).ok_or("the plan is cut")?;
            rest = after;
            steps.push(Step {
                head,
                body,
                expected,
            });
        }
        if steps.is_empty() {
            return Err("the plan is empty".into());
        }
        Ok(Self { steps })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], String> {
    let (found, after) = rest.split_first_chunk::<N>().ok_or("the plan is cut")?;
    *rest = after;
    Ok(*found)
}

fn number(rest: &mut &[u8]) -> Result<u64, String> {
    take::<8>(rest).map(u64::from_le_bytes)
}

fn part(pool: &[u8], offset: u64, length: u64) -> Result<&[u8], String> {
    let end = offset
        .checked_add(length)
        .ok_or("a body lies outside the pool")?;
    pool.get(offset as usize..end as usize)
        .ok_or_else(|| "a body lies outside the pool".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan_of(steps: &[(&[u8], u64, u64, u64, u64)]) -> Vec<u8> {
        let mut data = MAGIC.to_vec();
        data.extend((steps.len() as u32).to_le_bytes());
        for (head, offset, length, at, size) in steps {
            data.extend((head.len() as u32).to_le_bytes());
            for number in [offset, length, at, size] {
                data.extend(number.to_le_bytes());
            }
            data.extend(*head);
        }
        data
    }

    #[test]
    fn a_plan_is_read_back() {
        let data = plan_of(&[(b"GET", 0, 0, 1, 2), (b"PUT", 2, 3, 0, ANYTHING)]);
        let plan = Plan::parse(&data, b"abcde").unwrap();
        assert_eq!(plan.steps[0].head, b"GET");
        assert_eq!(plan.steps[0].expected, Some(&b"bc"[..]));
        assert_eq!(plan.steps[1].body, b"cde");
        assert_eq!(plan.steps[1].expected, None);
    }

    #[test]
    fn what_lies_outside_is_refused() {
        let data = plan_of(&[(b"GET", 4, 2, 0, 0)]);
        assert!(Plan::parse(&data, b"abcde").is_err());
        assert!(Plan::parse(&data[..20], b"abcdefgh").is_err());
        assert!(Plan::parse(b"else", b"").is_err());
    }
}
