//! The four calls of Linux that the standard library does not offer, as its C library declares them.

#[repr(C)]
#[cfg_attr(target_arch = "x86_64", repr(packed))]
#[derive(Clone, Copy)]
pub struct Event {
    pub events: u32,
    pub data: u64,
}

#[repr(C)]
pub struct TimeSpec {
    pub seconds: i64,
    pub nanoseconds: i64,
}

pub const EPOLLIN: u32 = 1;
pub const EPOLLOUT: u32 = 4;
pub const EPOLL_CTL_ADD: i32 = 1;
pub const EPOLL_CTL_MOD: i32 = 3;
pub const EPOLL_CLOEXEC: i32 = 0o2_000_000;
pub const CLOCK_PROCESS_CPUTIME_ID: i32 = 2;

unsafe extern "C" {
    pub fn epoll_create1(flags: i32) -> i32;
    pub fn epoll_ctl(poll: i32, operation: i32, descriptor: i32, event: *mut Event) -> i32;
    pub fn epoll_wait(poll: i32, events: *mut Event, size: i32, timeout_ms: i32) -> i32;
    pub fn clock_gettime(clock: i32, found: *mut TimeSpec) -> i32;
}
