//! What holds parameters: modules, made of fields that hold parameters.

use crate::element::Element;
use crate::tape::Param;

/// The name of a parameter while a module is visited: field names joined by dots.
#[derive(Clone, Debug, Default)]
pub struct Path(String);

impl Path {
    /// The name so far, as `layers.0.cell.kernel`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Calls `f` with `name` appended.
    pub fn enter<R>(&mut self, name: impl std::fmt::Display, f: impl FnOnce(&mut Self) -> R) -> R {
        use std::fmt::Write;
        let length = self.0.len();
        let dot = if length == 0 { "" } else { "." };
        write!(self.0, "{dot}{name}").expect("writing to a string cannot fail");
        let result = f(self);
        self.0.truncate(length);
        result
    }
}

/// Something with parameters. Written by [`module!`](crate::module), which names every field.
///
/// Parameters are visited in the order of their declaration, under the names checkpoints use.
pub trait Module<T: Element> {
    /// Visits every parameter.
    fn visit<'a>(&'a self, path: &mut Path, visitor: &mut dyn FnMut(&Path, &'a Param<T>));

    /// Visits every parameter for writing.
    fn visit_mut<'a>(&'a mut self, path: &mut Path, visitor: &mut dyn FnMut(&Path, &'a mut Param<T>));

    /// Every parameter with its name.
    ///
    /// ```
    /// use tapeloop_autograd::{Module, Param, Tensor, module};
    /// struct Dense {
    ///     kernel: Param,
    ///     bias: Option<Param>,
    ///     units: usize,
    /// }
    /// module!(Dense { kernel, bias } rest { units });
    ///
    /// let dense = Dense { kernel: Param::new(Tensor::zeros([2, 3])), bias: None, units: 3 };
    /// assert_eq!(dense.params().len(), 1);
    /// assert_eq!(dense.params()[0].0, "kernel");
    /// assert_eq!(dense.param_count(), 6);
    /// ```
    fn params(&self) -> Vec<(String, &Param<T>)> {
        let mut all = Vec::new();
        self.visit(&mut Path::default(), &mut |path, param| all.push((path.0.clone(), param)));
        all
    }

    /// The number of elements of all parameters.
    fn param_count(&self) -> usize {
        let mut count = 0;
        self.visit(&mut Path::default(), &mut |_, param| count += param.value().size());
        count
    }

    /// Freezes every parameter, or makes all trainable.
    fn set_trainable(&mut self, trainable: bool) {
        self.visit_mut(&mut Path::default(), &mut |_, param| param.set_trainable(trainable));
    }
}

impl<T: Element> Module<T> for Param<T> {
    fn visit<'a>(&'a self, path: &mut Path, visitor: &mut dyn FnMut(&Path, &'a Param<T>)) {
        visitor(path, self);
    }
    fn visit_mut<'a>(&'a mut self, path: &mut Path, visitor: &mut dyn FnMut(&Path, &'a mut Param<T>)) {
        visitor(path, self);
    }
}

impl<T: Element, M: Module<T> + ?Sized> Module<T> for Box<M> {
    fn visit<'a>(&'a self, path: &mut Path, visitor: &mut dyn FnMut(&Path, &'a Param<T>)) {
        (**self).visit(path, visitor);
    }
    fn visit_mut<'a>(&'a mut self, path: &mut Path, visitor: &mut dyn FnMut(&Path, &'a mut Param<T>)) {
        (**self).visit_mut(path, visitor);
    }
}

impl<T: Element, M: Module<T>> Module<T> for Option<M> {
    fn visit<'a>(&'a self, path: &mut Path, visitor: &mut dyn FnMut(&Path, &'a Param<T>)) {
        self.iter().for_each(|module| module.visit(path, visitor));
    }
    fn visit_mut<'a>(&'a mut self, path: &mut Path, visitor: &mut dyn FnMut(&Path, &'a mut Param<T>)) {
        self.iter_mut().for_each(|module| module.visit_mut(path, visitor));
    }
}

impl<T: Element, M: Module<T>> Module<T> for Vec<M> {
    fn visit<'a>(&'a self, path: &mut Path, visitor: &mut dyn FnMut(&Path, &'a Param<T>)) {
        for (index, module) in self.iter().enumerate() {
            path.enter(index, |path| module.visit(path, visitor));
        }
    }
    fn visit_mut<'a>(&'a mut self, path: &mut Path, visitor: &mut dyn FnMut(&Path, &'a mut Param<T>)) {
        for (index, module) in self.iter_mut().enumerate() {
            path.enter(index, |path| module.visit_mut(path, visitor));
        }
    }
}

/// Implements [`Module`](crate::Module) for a struct: `module!(Name { fields with parameters } rest { others })`.
///
/// Every field is named, so that a forgotten one does not compile:
///
/// ```compile_fail,E0027
/// use tapeloop_autograd::{Param, module};
/// struct Cell {
///     kernel: Param,
///     recurrent_kernel: Param,
/// }
/// module!(Cell { kernel }); // error: pattern does not mention field `recurrent_kernel`
/// ```
///
/// A struct over the element type writes it: `module!(Cell<T> { kernel, recurrent_kernel })`; one that is a module
/// for every element type, as it holds no parameters, `module!(Dropout for T {} rest { rate })`.
#[macro_export]
macro_rules! module {
    ($name:ident { $($field:ident),* $(,)? } $(rest { $($rest:ident),* $(,)? })?) => {
        $crate::module!(@impl [] $name, f32, { $($field),* } { $($($rest),*)? });
    };
    ($name:ident<$t:ident> { $($field:ident),* $(,)? } $(rest { $($rest:ident),* $(,)? })?) => {
        $crate::module!(@impl [<$t: $crate::Element>] $name<$t>, $t, { $($field),* } { $($($rest),*)? });
    };
    ($name:ident for $t:ident { $($field:ident),* $(,)? } $(rest { $($rest:ident),* $(,)? })?) => {
        $crate::module!(@impl [<$t: $crate::Element>] $name, $t, { $($field),* } { $($($rest),*)? });
    };
    (@impl [$($generics:tt)*] $name:ty, $t:ty, { $($field:ident),* } { $($rest:ident),* }) => {
        impl $($generics)* $crate::Module<$t> for $name {
            #[allow(unused_variables)]
            fn visit<'a>(
                &'a self,
                path: &mut $crate::Path,
                visitor: &mut dyn FnMut(&$crate::Path, &'a $crate::Param<$t>),
            ) {
                let Self { $($field,)* $($rest: _,)* } = self;
                $(path.enter(stringify!($field), |path| $crate::Module::visit($field, path, visitor));)*
            }
            #[allow(unused_variables)]
            fn visit_mut<'a>(
                &'a mut self,
                path: &mut $crate::Path,
                visitor: &mut dyn FnMut(&$crate::Path, &'a mut $crate::Param<$t>),
            ) {
                let Self { $($field,)* $($rest: _,)* } = self;
                $(path.enter(stringify!($field), |path| $crate::Module::visit_mut($field, path, visitor));)*
            }
        }
    };
}
