//! epoll, level-triggered: which connections can be read, or written to.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::kernel::{self, Event};

pub struct Poll {
    descriptor: OwnedFd,
    events: Vec<Event>,
}

/// A connection by its number that can go on.
pub struct Ready {
    pub number: usize,
    pub is_writable: bool,
}

impl Poll {
    pub fn new(connections: usize) -> io::Result<Self> {
        // SAFETY: takes no pointer; the descriptor it returns is ours alone.
        let raw = check(unsafe { kernel::epoll_create1(kernel::EPOLL_CLOEXEC) })?;
        // SAFETY: as above.
        let descriptor = unsafe { OwnedFd::from_raw_fd(raw) };
        let events = vec![Event { events: 0, data: 0 }; connections.max(1)];
        Ok(Self { descriptor, events })
    }

    /// Begin to watch a stream.
    pub fn add(&self, stream: &impl AsRawFd, number: usize) -> io::Result<()> {
        self.control(kernel::EPOLL_CTL_ADD, stream, number, false)
    }

    /// Watch for room to write too, or no longer.
    pub fn change(&self, stream: &impl AsRawFd, number: usize, writing: bool) -> io::Result<()> {
        self.control(kernel::EPOLL_CTL_MOD, stream, number, writing)
    }

    fn control(
        &self,
        operation: i32,
        stream: &impl AsRawFd,
        number: usize,
        writing: bool,
    ) -> io::Result<()> {
        let wanted = kernel::EPOLLIN | if writing { kernel::EPOLLOUT } else { 0 };
        let mut event = Event {
            events: wanted,
            data: number as u64,
        };
        // SAFETY: both descriptors are open, and the event outlives the call.
        check(unsafe {
            kernel::epoll_ctl(
                self.descriptor.as_raw_fd(),
                operation,
                stream.as_raw_fd(),
                &mut event,
            )
        })?;
        Ok(())
    }

    /// Wait at most `timeout_ms`; return who can go on.
    pub fn wait(&mut self, timeout_ms: i32) -> io::Result<Vec<Ready>> {
        let (events, size) = (self.events.as_mut_ptr(), self.events.len() as i32);
        // SAFETY: the kernel writes at most `size` events, and there is room for them.
        let found =
            unsafe { kernel::epoll_wait(self.descriptor.as_raw_fd(), events, size, timeout_ms) };
        let count = match check(found) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            other => other? as usize,
        };
        Ok(self.events[..count]
            .iter()
            .map(|event| Ready {
                number: event.data as usize,
                is_writable: event.events & kernel::EPOLLOUT != 0,
            })
            .collect())
    }
}

fn check(found: i32) -> io::Result<i32> {
    if found < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(found)
    }
}
