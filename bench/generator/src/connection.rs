//! One kept connection with at most one request on its way.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::answer::Answer;
use crate::plan::Step;

/// What became of a look at the socket.
#[derive(PartialEq, Eq)]
pub enum Progress {
    Waiting,
    /// The request is not written to its end: there was no room.
    Blocked,
    Answered,
}

pub struct Connection<'a> {
    address: SocketAddr,
    pub stream: TcpStream,
    pub answer: Answer<'a>,
    pub started_us: u64,
    request: [&'a [u8]; 2],
}

impl<'a> Connection<'a> {
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let (stream, answer) = (connect(address)?, Answer::new());
        Ok(Self {
            address,
            stream,
            answer,
            started_us: 0,
            request: [&[], &[]],
        })
    }

    /// Replace the socket by a fresh one; the caller begins to watch it.
    pub fn reopen(&mut self) -> io::Result<()> {
        self.stream = connect(self.address)?;
        Ok(())
    }

    /// Begin a request; its answer's body is compared when `is_checked`.
    pub fn send(
        &mut self,
        step: &Step<'a>,
        is_checked: bool,
        now_us: u64,
    ) -> Result<Progress, String> {
        self.started_us = now_us;
        self.request = [step.head, step.body];
        self.answer
            .begin(if is_checked { step.expected } else { None });
        self.write()
    }

    /// Write what there is room for.
    pub fn write(&mut self) -> Result<Progress, String> {
        while self.request.iter().any(|part| !part.is_empty()) {
            let parts = self.request.map(IoSlice::new);
            match self.stream.write_vectored(&parts) {
                Ok(written) => self.advance(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(Progress::Blocked);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // What the server answered before it closed tells more than a broken pipe.
                Err(_) => {
                    self.request = [&[], &[]];
                }
            }
        }
        Ok(Progress::Waiting)
    }

    fn advance(&mut self, written: usize) {
        let head = written.min(self.request[0].len());
        self.request = [&self.request[0][head..], &self.request[1][written - head..]];
    }

    /// Read what has come, through `buffer`.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<Progress, String> {
        match self.stream.read(buffer) {
            Ok(0) => Err("the server closed the connection before it answered".into()),
            Ok(count) => {
                let is_over = self.answer.feed(&buffer[..count])?;
                Ok(if is_over {
                    Progress::Answered
                } else {
                    Progress::Waiting
                })
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Progress::Waiting),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(Progress::Waiting),
            Err(error) => Err(format!("a connection broke: {error}")),
        }
    }

    /// Tell whether the next request needs a fresh connection.
    pub fn is_spent(&self) -> bool {
        self.answer.is_closing || self.request.iter().any(|part| !part.is_empty())
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}
