//! What is compiled once for each element type, in this crate. Generic code is compiled again in every crate that calls it:
//! every program would compile all cells and all layers.

use std::any::{Any, TypeId};

use tapeloop_autograd::{Element, Rng, Shape};

use crate::{Cell, CellConfig, Error, Layer, LayerConfig, Rnn};

type Built<X> = Result<X, Error>;

/// What `single` or `double` gives, whichever is of the element type `T`.
fn either<T: Element, X: 'static>(single: impl FnOnce() -> Box<dyn Any>, double: impl FnOnce() -> Box<dyn Any>) -> X {
    let built = if TypeId::of::<T>() == TypeId::of::<f32>() { single() } else { double() };
    *built.downcast::<X>().expect("an element is one of the two")
}

macro_rules! doors {
    ($($door:ident, $one:ident, $other:ident: ($config:ty, $input:ty) -> $built:ident, $build:ident;)*) => {$(
        fn $one(config: &$config, input: $input, rng: &mut Rng) -> Box<dyn Any> {
            Box::new(config.$build::<f32>(input, rng))
        }

        fn $other(config: &$config, input: $input, rng: &mut Rng) -> Box<dyn Any> {
            Box::new(config.$build::<f64>(input, rng))
        }

        /// The way through to what is generic.
        pub(crate) fn $door<T: Element>(config: &$config, input: $input, rng: &mut Rng) -> Built<$built<T>> {
            // Only one of them is called.
            let rng = std::cell::RefCell::new(rng);
            either::<T, Built<$built<T>>>(
                || $one(config, input, &mut rng.borrow_mut()),
                || $other(config, input, &mut rng.borrow_mut()),
            )
        }
    )*};
}

type AnyCell<T> = Box<dyn Cell<T>>;
type AnyLayer<T> = Box<dyn Layer<T>>;
type AnyRnn<T> = Rnn<T, Box<dyn Cell<T>>>;

doors! {
    cell, cell_f32, cell_f64: (CellConfig, &Shape) -> AnyCell, build_here;
    layer, layer_f32, layer_f64: (LayerConfig, &[Option<usize>]) -> AnyLayer, build_here;
    recurrent, recurrent_f32, recurrent_f64: (LayerConfig, &[Option<usize>]) -> AnyRnn, recurrent_here;
}
