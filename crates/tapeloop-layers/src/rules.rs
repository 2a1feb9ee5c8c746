//! What a built layer keeps to besides its equations: penalties and projections of its weights, penalties of its outputs.

use std::cell::RefCell;

use smallvec::SmallVec;
use tapeloop_autograd::{Element, Module, Param, Path, Shape, Tape, Var};

use crate::{Constraint, Error, Regularizer};

/// Regularizers and constraints of a layer's weights, by their names, and a regularizer of what it puts out. A rule for
/// `kernel` acts on the parameters whose names end so, as `cell.kernel`, one for `cells.0.kernel` on those whose names end
/// in that: no cell knows rules.
///
/// As in Keras, frozen weights have no penalty and are left where they are.
///
/// ```
/// use tapeloop_autograd::{Rng, Tape};
/// use tapeloop_layers::{Constraint, Layer, Lstm, Regularizer, Rules};
/// let rules = Rules::new().regularizer("recurrent_kernel", Regularizer::l2(1e-4)).constraint("bias", Constraint::NonNeg);
/// let lstm = Lstm::new(4).layer::<f32>(1, &mut Rng::new(0)).with_rules(rules)?;
/// let tape = Tape::new();
/// assert!(lstm.penalty(&tape).unwrap().item() > 0.0);
/// # Ok::<(), tapeloop_layers::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    regularizers: Vec<(String, Regularizer)>,
    constraints: Vec<(String, Constraint)>,
    activity: Option<Regularizer>,
}

thread_local! {
    /// Names while weights are visited, kept for the capacity of its string.
    static PATH: RefCell<Path> = RefCell::default();
}

impl Rules {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with a penalty of the weights of this name, or as it is.
    pub fn regularizer(mut self, weight: impl Into<String>, regularizer: impl Into<Option<Regularizer>>) -> Self {
        self.regularizers.extend(regularizer.into().map(|regularizer| (weight.into(), regularizer)));
        self
    }

    /// The same with a projection of the weights of this name, or as it is.
    pub fn constraint(mut self, weight: impl Into<String>, constraint: impl Into<Option<Constraint>>) -> Self {
        self.constraints.extend(constraint.into().map(|constraint| (weight.into(), constraint)));
        self
    }

    /// The same with a penalty of what the layer puts out, or with none.
    pub fn activity(self, activity: impl Into<Option<Regularizer>>) -> Self {
        Self { activity: activity.into(), ..self }
    }

    /// The same for the weights of the module that is called so, and no others.
    pub(crate) fn within(self, module: &str) -> Self {
        fn longer<R>(rules: Vec<(String, R)>, module: &str) -> Vec<(String, R)> {
            rules.into_iter().map(|(weight, rule)| (format!("{module}.{weight}"), rule)).collect()
        }
        let regularizers = longer(self.regularizers, module);
        Self { regularizers, constraints: longer(self.constraints, module), ..self }
    }

    /// These, and those.
    pub(crate) fn and(mut self, others: Self) -> Self {
        self.regularizers.extend(others.regularizers);
        self.constraints.extend(others.constraints);
        Self { activity: self.activity.or(others.activity), ..self }
    }

    /// The regularizer of the outputs.
    pub fn activity_regularizer(&self) -> Option<&Regularizer> {
        self.activity.as_ref()
    }

    /// The penalty of `module`'s weights, as they are on the tape: the sum over all that have one. `None` without any.
    #[track_caller]
    pub fn penalty<'t, T: Element, M: Module<T> + ?Sized>(&self, module: &M, tape: &'t Tape<T>) -> Option<Var<'t, T>> {
        let mut sum = None;
        for (_, penalty) in self.penalties(module, tape) {
            sum = add(sum, Some(penalty));
        }
        sum
    }

    /// The penalty of each of `module`'s weights that has one, in their order, by the names of the weights.
    #[track_caller]
    pub fn penalties<'t, T: Element, M: Module<T> + ?Sized>(
        &self,
        module: &M,
        tape: &'t Tape<T>,
    ) -> SmallVec<[(&str, Var<'t, T>); 4]> {
        let mut penalties = SmallVec::new();
        if self.regularizers.is_empty() {
            return penalties;
        }
        // Gathered first: a closure would hide the caller's line.
        let mut weights = SmallVec::<[(&str, &Regularizer, &Param<T>); 4]>::new();
        with_path(|path| {
            module.visit(path, &mut |path, param| {
                let own = self.regularizers.iter().filter(|(name, _)| param.trainable() && ends(path.as_str(), name));
                weights.extend(own.map(|(name, regularizer)| (name.as_str(), regularizer, param)));
            });
        });
        for (name, regularizer, weight) in weights {
            penalties.push((name, regularizer.penalty(tape.param(weight))));
        }
        penalties
    }

    /// Projects `module`'s weights.
    pub fn constrain<T: Element, M: Module<T> + ?Sized>(&self, module: &mut M) {
        if self.constraints.is_empty() {
            return;
        }
        with_path(|path| {
            module.visit_mut(path, &mut |path, param| {
                for (_, constraint) in self.constraints.iter().filter(|(name, _)| ends(path.as_str(), name)) {
                    if param.trainable() {
                        let shape = param.value().shape().clone();
                        constraint.project(&shape, param.value_mut());
                    }
                }
            });
        });
    }

    /// The penalty of a call's `outputs`, each (batch, …), divided by the batch.
    #[track_caller]
    pub(crate) fn of_outputs<'t, T: Element>(&self, outputs: &[Var<'t, T>]) -> Option<Var<'t, T>> {
        let regularizer = self.activity.as_ref()?;
        let mut sum = None;
        for output in outputs {
            let batch = output.shape().first().copied().unwrap_or(1).max(1);
            sum = add(sum, Some(regularizer.penalty(*output) / batch as f64));
        }
        sum
    }

    /// Whether the rules make sense and every one of them suits a weight of `module`.
    pub(crate) fn check<T: Element>(&self, layer: &str, module: &dyn Module<T>) -> Result<(), Error> {
        let mut weights = Vec::<(String, &Shape)>::new();
        module.visit(&mut Path::default(), &mut |path, param| {
            weights.push((path.as_str().into(), param.value().shape()));
        });
        let regularizers = self.regularizers.iter().map(|(name, own)| (name, "regularizer", Rule::Regularizer(own)));
        let constraints = self.constraints.iter().map(|(name, own)| (name, "constraint", Rule::Constraint(own)));
        for (name, kind, rule) in regularizers.chain(constraints) {
            // Keras' name of the setting.
            let last = name.rsplit('.').next().unwrap_or(name);
            let setting = format!("{}_{kind}", last.strip_suffix("_kernel").unwrap_or(last));
            let wrong = |problem| Error::config(layer, format!("{setting}: {problem}"));
            let mut found = false;
            for (_, shape) in weights.iter().filter(|(weight, _)| ends(weight, name)) {
                found = true;
                match rule {
                    Rule::Regularizer(own) => own.check(shape),
                    Rule::Constraint(own) => own.check(shape),
                }
                .map_err(wrong)?;
            }
            if !found {
                let names: Vec<_> = weights.iter().map(|(name, _)| name.as_str()).collect();
                return Err(wrong(format!("there is no weight `{name}`; there are {}", names.join(", "))));
            }
        }
        Ok(())
    }

    /// Whether the regularizer of outputs suits those with so many axes, the batch included.
    pub(crate) fn check_outputs(&self, layer: &str, rank: usize) -> Result<(), Error> {
        let shape: Shape = std::iter::repeat_n(1, rank).collect();
        match &self.activity {
            Some(own) => own.check(&shape).map_err(|problem| {
                // The lengths are not known.
                let problem = problem.replace(&format!("the shape {shape}"), &format!("outputs of {rank} axes"));
                Error::config(layer, format!("activity_regularizer: {problem}"))
            }),
            None => Ok(()),
        }
    }
}

#[derive(Clone, Copy)]
enum Rule<'a> {
    Regularizer(&'a Regularizer),
    Constraint(&'a Constraint),
}

/// The sum of two penalties that need not be there.
#[track_caller]
pub(crate) fn add<'t, T: Element>(a: Option<Var<'t, T>>, b: Option<Var<'t, T>>) -> Option<Var<'t, T>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (one, other) => one.or(other),
    }
}

/// Whether a parameter's name ends in this one, of a field or of several.
pub(crate) fn ends(path: &str, name: &str) -> bool {
    path.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Taken, so that whatever panics on the way leaves no half a name behind.
fn with_path(visit: impl FnOnce(&mut Path)) {
    let mut path = PATH.take();
    visit(&mut path);
    PATH.set(path);
}
