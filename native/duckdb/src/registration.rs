//! How functions are made known to DuckDB.

use std::ffi::CStr;

use crate::api::{
    Api, Handle, SUCCESS, ScalarCall, StateCombine, StateDestroy, StateFinalize, StateInit,
    StateSize, StateUpdate,
};

/// Define an `extern "C"` callback around a function over its input and output.
macro_rules! scalar {
    ($name:ident, $body:expr) => {
        unsafe extern "C" fn $name(
            info: $crate::api::Handle,
            chunk: $crate::api::Handle,
            output: $crate::api::Handle,
        ) {
            // SAFETY: DuckDB calls with a chunk of the registered types and a result to fill.
            unsafe {
                let set_error = $crate::api::Api::get().scalar_set_error;
                $crate::vectors::guarded(info, set_error, || {
                    let body: unsafe fn(
                        $crate::api::Handle,
                        $crate::vectors::Output,
                    ) -> $crate::Outcome = $body;
                    body(chunk, $crate::vectors::Output::new(output))
                });
            }
        }
    };
}
pub(crate) use scalar;

/// A scalar function; it takes NULLs itself.
pub struct Scalar {
    name: &'static CStr,
    parameters: &'static [u32],
    result: u32,
    is_volatile: bool,
    call: ScalarCall,
}

impl Scalar {
    pub const fn pure(
        name: &'static CStr,
        parameters: &'static [u32],
        result: u32,
        call: ScalarCall,
    ) -> Self {
        Scalar {
            name,
            parameters,
            result,
            is_volatile: false,
            call,
        }
    }

    pub const fn volatile(
        name: &'static CStr,
        parameters: &'static [u32],
        result: u32,
        call: ScalarCall,
    ) -> Self {
        let mut function = Scalar::pure(name, parameters, result, call);
        function.is_volatile = true;
        function
    }

    /// # Safety
    /// `connection` is an open connection.
    pub unsafe fn register(&self, api: &Api, connection: Handle) -> bool {
        // SAFETY: the function is complete when it is registered, and destroyed once.
        unsafe {
            let mut function = (api.create_scalar)();
            (api.scalar_set_name)(function, self.name.as_ptr());
            for &parameter in self.parameters {
                api.with_type(parameter, |logical| {
                    (api.scalar_add_parameter)(function, logical);
                });
            }
            api.with_type(self.result, |logical| {
                (api.scalar_set_return_type)(function, logical);
            });
            (api.scalar_set_special_handling)(function);
            if self.is_volatile {
                (api.scalar_set_volatile)(function);
            }
            (api.scalar_set_function)(function, self.call);
            let state = (api.register_scalar)(connection, function);
            (api.destroy_scalar)(&mut function);
            state == SUCCESS
        }
    }
}

/// How DuckDB handles a kind of state; it may move a state byte by byte.
#[derive(Clone, Copy)]
pub struct State {
    pub size: StateSize,
    pub init: StateInit,
    pub combine: StateCombine,
    pub destroy: StateDestroy,
}

/// An aggregate function of one parameter; it takes NULLs itself.
pub struct Aggregate {
    pub name: &'static CStr,
    pub parameter: u32,
    pub result: u32,
    pub state: State,
    pub update: StateUpdate,
    pub finalize: StateFinalize,
}

impl Aggregate {
    /// # Safety
    /// `connection` is an open connection.
    pub unsafe fn register(&self, api: &Api, connection: Handle) -> bool {
        // SAFETY: the function is complete when it is registered, and destroyed once.
        unsafe {
            let mut function = (api.create_aggregate)();
            (api.aggregate_set_name)(function, self.name.as_ptr());
            api.with_type(self.parameter, |logical| {
                (api.aggregate_add_parameter)(function, logical);
            });
            api.with_type(self.result, |logical| {
                (api.aggregate_set_return_type)(function, logical);
            });
            (api.aggregate_set_special_handling)(function);
            let State {
                size,
                init,
                combine,
                destroy,
            } = self.state;
            let (update, finalize) = (self.update, self.finalize);
            (api.aggregate_set_functions)(function, size, init, update, combine, finalize);
            (api.aggregate_set_destructor)(function, destroy);
            let state = (api.register_aggregate)(connection, function);
            (api.destroy_aggregate)(&mut function);
            state == SUCCESS
        }
    }
}
