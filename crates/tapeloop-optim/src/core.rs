//! What all optimizers have in common: everything but the formula.

use std::collections::{BTreeMap, HashMap};

use smallvec::SmallVec;
use tapeloop_autograd::{Element, Gradients, Module, ParamId, Path, Tensor};

use crate::error::Error;
use crate::groups::Groups;
use crate::state::{OptimizerState, ParamState};

/// Changes a module's parameters against their gradients.
///
/// State belongs to parameters, not to places: it follows a parameter however its module is visited. It is
/// allocated the first time a parameter has a gradient; after that a step allocates nothing, provided no
/// tape still holds the values ([`Tape::value_and_grad`](tapeloop_autograd::Tape::value_and_grad) and
/// [`Tape::reset`](tapeloop_autograd::Tape::reset) see to that).
///
/// ```
/// use tapeloop_autograd::{Param, Tape, Tensor};
/// use tapeloop_optim::{Optimizer, Sgd};
/// let mut w = Param::new(Tensor::from([3.0f32, -2.0]));
/// let (_, gradients) = Tape::new().value_and_grad(|tape| (tape.param(&w) * &w).sum_all());
/// let mut optimizer: Box<dyn Optimizer<f32>> = Box::new(Sgd::new(0.25));
/// optimizer.step(&mut w, &gradients);
/// assert_eq!(w.value().to_vec(), [1.5, -1.0]);
/// ```
pub trait Optimizer<T: Element> {
    /// One update of every trainable parameter that has a gradient. Of the others even the state stays.
    fn step(&mut self, module: &mut dyn Module<T>, gradients: &Gradients<T>);

    /// The learning rate of the next step.
    fn learning_rate(&self) -> f64;

    /// Sets the learning rate of the next step, as a [`Schedule`](crate::Schedule) says.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[track_caller]
    fn set_learning_rate(&mut self, learning_rate: f64);

    /// Steps taken.
    fn iterations(&self) -> u64;

    /// What the optimizer remembers of this module's parameters, under their names in it.
    fn state(&self, module: &dyn Module<T>) -> OptimizerState<T>;

    /// Goes on from a saved state. Everything it remembered before is forgotten; a parameter the state does
    /// not mention starts anew.
    ///
    /// # Errors
    /// If the state does not fit the optimizer, its options or the module. Then nothing has changed.
    fn load_state(&mut self, module: &dyn Module<T>, state: &OptimizerState<T>) -> Result<(), Error>;
}

/// The formula of an optimizer, and its options.
pub(crate) trait Algorithm {
    const NAME: &'static str;

    /// Names of the buffers every parameter needs.
    fn buffers(&self) -> &'static [&'static str];

    /// The update of one parameter.
    fn update<T: Element>(&self, at: At, value: &mut [T], gradient: &[T], buffers: &mut [Vec<T>]);
}

/// What holds for one parameter in one step.
#[derive(Clone, Copy)]
pub(crate) struct At {
    pub(crate) learning_rate: f64,
    pub(crate) weight_decay: f64,
    /// This step's number, from 1.
    pub(crate) iteration: u64,
    /// The number of steps in which the parameter had a gradient, with this one.
    pub(crate) steps: u64,
}

impl At {
    /// Factors of w: by how much it shrinks before the update, and what of it is added to the gradient.
    pub(crate) fn decay<T: Element>(self, coupled: bool) -> (T, T) {
        let shrink = T::from_f64(self.learning_rate * self.weight_decay);
        if coupled { (T::ZERO, T::from_f64(self.weight_decay)) } else { (shrink, T::ZERO) }
    }
}

#[derive(Clone)]
pub(crate) struct Core<T> {
    pub(crate) groups: Groups,
    pub(crate) iterations: u64,
    slots: HashMap<ParamId, Slot<T>>,
    /// Kept for the capacity of its string.
    path: Path,
}

#[derive(Clone)]
struct Slot<T> {
    steps: u64,
    buffers: SmallVec<[Vec<T>; 3]>,
}

impl<T> Default for Core<T> {
    fn default() -> Self {
        Self { groups: Groups::new(), iterations: 0, slots: HashMap::new(), path: Path::default() }
    }
}

impl<T: Element> Core<T> {
    pub(crate) fn step<A: Algorithm>(
        &mut self,
        algorithm: &A,
        learning_rate: f64,
        weight_decay: f64,
        module: &mut dyn Module<T>,
        gradients: &Gradients<T>,
    ) {
        self.iterations += 1;
        // Taken, so that whatever panics on the way leaves no half a name behind.
        let mut path = std::mem::take(&mut self.path);
        module.visit_mut(&mut path, &mut |path, param| {
            let rule = self.groups.rule(path.as_str());
            let Some(gradient) = gradients.of(param) else { return };
            if !param.trainable() || rule.frozen == Some(true) {
                return;
            }
            let slot = self.slots.entry(param.id()).or_insert_with(|| {
                let zeros = || vec![T::ZERO; param.value().size()];
                Slot { steps: 0, buffers: algorithm.buffers().iter().map(|_| zeros()).collect() }
            });
            slot.steps += 1;
            let at = At {
                learning_rate: learning_rate * rule.learning_rate.unwrap_or(1.0),
                weight_decay: rule.weight_decay.unwrap_or(weight_decay),
                iteration: self.iterations,
                steps: slot.steps,
            };
            let gradient = gradient.as_slice().expect("a backward pass makes gradients dense");
            algorithm.update(at, param.value_mut(), gradient, &mut slot.buffers);
        });
        self.path = path;
    }

    pub(crate) fn state<A: Algorithm>(
        &self,
        algorithm: &A,
        learning_rate: f64,
        module: &dyn Module<T>,
    ) -> OptimizerState<T> {
        let mut params = BTreeMap::new();
        for (name, param) in module.params() {
            let Some(slot) = self.slots.get(&param.id()) else { continue };
            let tensor = |buffer: &Vec<T>| Tensor::from_vec(param.value().shape(), buffer.clone());
            let names = algorithm.buffers().iter().map(ToString::to_string);
            let buffers = names.zip(slot.buffers.iter().map(tensor)).collect();
            params.insert(name, ParamState { steps: slot.steps, buffers });
        }
        OptimizerState { optimizer: A::NAME.to_owned(), learning_rate, iterations: self.iterations, params }
    }

    /// The slots a state describes are built before anything changes.
    pub(crate) fn load<A: Algorithm>(
        &mut self,
        algorithm: &A,
        module: &dyn Module<T>,
        state: &OptimizerState<T>,
    ) -> Result<(), Error> {
        if state.optimizer != A::NAME {
            return Err(Error::Optimizer { expected: A::NAME, found: state.optimizer.clone() });
        }
        let params: HashMap<_, _> = module.params().into_iter().collect();
        let mut slots = HashMap::with_capacity(params.len());
        for (name, saved) in &state.params {
            let param = params.get(name).ok_or_else(|| Error::UnknownParam { param: name.clone() })?;
            let names = algorithm.buffers();
            if saved.buffers.len() != names.len() || !names.iter().all(|&name| saved.buffers.contains_key(name)) {
                return Err(Error::Buffers {
                    param: name.clone(),
                    expected: names.iter().map(ToString::to_string).collect(),
                    found: saved.buffers.keys().cloned().collect(),
                });
            }
            let shape = param.value().shape();
            if let Some((buffer, tensor)) = saved.buffers.iter().find(|(_, tensor)| tensor.shape() != shape) {
                return Err(Error::Shape {
                    param: name.clone(),
                    buffer: buffer.clone(),
                    expected: Box::new(shape.clone()),
                    found: Box::new(tensor.shape().clone()),
                });
            }
            let buffers = names.iter().map(|&name| saved.buffers[name].to_vec()).collect();
            slots.insert(param.id(), Slot { steps: saved.steps, buffers });
        }
        self.slots = slots;
        self.iterations = state.iterations;
        Ok(())
    }
}

/// An optimizer from an [`Algorithm`]: its options, which are the config's fields and the builder's
/// methods, and what it shares with all others.
macro_rules! optimizer {
    (
        $(#[$meta:meta])* $name:ident,
        $(#[$config_meta:meta])* $config:ident {
            learning_rate = $learning_rate:expr,
            $($(#[$field_meta:meta])* $field:ident: $type:ty = $default:expr,)*
        }
    ) => {
        $(#[$config_meta])*
        #[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $config {
            /// The learning rate; at least 0.
            pub learning_rate: f64,
            $($(#[$field_meta])* pub $field: $type,)*
        }

        impl Default for $config {
            fn default() -> Self {
                Self { learning_rate: $learning_rate, $($field: $default,)* }
            }
        }

        $(#[$meta])*
        #[derive(Clone)]
        pub struct $name<T: tapeloop_autograd::Element = f32> {
            config: $config,
            core: $crate::core::Core<T>,
        }

        impl<T: tapeloop_autograd::Element> $name<T> {
            /// With this learning rate, and defaults for the rest.
            ///
            /// # Panics
            /// If the learning rate is negative or not finite.
            #[track_caller]
            pub fn new(learning_rate: f64) -> Self {
                Self::with($config { learning_rate, ..Default::default() })
            }

            /// With these options.
            ///
            /// # Panics
            #[doc = concat!("If they are not [valid](", stringify!($config), "::validate).")]
            #[track_caller]
            pub fn with(config: $config) -> Self {
                $crate::error::require(config.validate());
                Self { config, core: Default::default() }
            }

            /// The options, with the present learning rate.
            pub fn config(&self) -> &$config {
                &self.config
            }

            /// Treats some parameters differently. In place of earlier groups; at any time.
            #[must_use]
            pub fn groups(mut self, groups: $crate::Groups) -> Self {
                self.core.groups = groups;
                self
            }

            $($(#[$field_meta])*
            ///
            /// # Panics
            /// If the value makes no sense, or a step was taken already.
            #[must_use]
            #[track_caller]
            pub fn $field(mut self, $field: $type) -> Self {
                assert!(self.core.iterations == 0, "{} can only be set before the first step", stringify!($field));
                self.config.$field = $field;
                $crate::error::require(self.config.validate());
                self
            })*
        }

        impl<T: tapeloop_autograd::Element> Default for $name<T> {
            fn default() -> Self {
                Self::with(Default::default())
            }
        }

        impl<T: tapeloop_autograd::Element> std::fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("config", &self.config)
                    .field("groups", &self.core.groups)
                    .field("iterations", &self.core.iterations)
                    .finish_non_exhaustive()
            }
        }

        impl<T: tapeloop_autograd::Element> $crate::Optimizer<T> for $name<T> {
            fn step(
                &mut self,
                module: &mut dyn tapeloop_autograd::Module<T>,
                gradients: &tapeloop_autograd::Gradients<T>,
            ) {
                let $config { learning_rate, weight_decay, .. } = self.config;
                self.core.step(&self.config, learning_rate, weight_decay, module, gradients);
            }

            fn learning_rate(&self) -> f64 {
                self.config.learning_rate
            }

            fn set_learning_rate(&mut self, learning_rate: f64) {
                $crate::error::require($crate::error::not_negative("learning_rate", learning_rate));
                self.config.learning_rate = learning_rate;
            }

            fn iterations(&self) -> u64 {
                self.core.iterations
            }

            fn state(&self, module: &dyn tapeloop_autograd::Module<T>) -> $crate::OptimizerState<T> {
                self.core.state(&self.config, self.config.learning_rate, module)
            }

            fn load_state(
                &mut self,
                module: &dyn tapeloop_autograd::Module<T>,
                state: &$crate::OptimizerState<T>,
            ) -> Result<(), $crate::Error> {
                $crate::error::not_negative("learning_rate", state.learning_rate)?;
                self.core.load(&self.config, module, state)?;
                self.config.learning_rate = state.learning_rate;
                Ok(())
            }
        }
    };
}
