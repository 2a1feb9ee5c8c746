//! Parameters that are treated differently, chosen by name.

use std::fmt;
use std::sync::Arc;

use crate::error::{not_negative, require};

/// What is different for some parameters. What it does not say stays as it is.
///
/// ```
/// use tapeloop_optim::Rule;
/// let rule = Rule::new().learning_rate(0.1).weight_decay(0.0);
/// assert_eq!(rule.learning_rate, Some(0.1));
/// assert_eq!(rule.frozen, None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Rule {
    /// A factor on the optimizer's learning rate.
    pub learning_rate: Option<f64>,
    /// A weight decay in place of the optimizer's.
    pub weight_decay: Option<f64>,
    /// Whether the parameters stay as they are.
    pub frozen: Option<bool>,
}

impl Rule {
    /// Changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Multiplies the optimizer's learning rate.
    ///
    /// # Panics
    /// If the factor is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn learning_rate(self, factor: f64) -> Self {
        require(not_negative("the factor on the learning rate", factor));
        Self { learning_rate: Some(factor), ..self }
    }

    /// Replaces the optimizer's weight decay.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        require(not_negative("weight_decay", weight_decay));
        Self { weight_decay: Some(weight_decay), ..self }
    }

    /// Leaves the parameters and their state as they are, or exempts them from a rule that does.
    #[must_use]
    pub fn frozen(self, frozen: bool) -> Self {
        Self { frozen: Some(frozen), ..self }
    }

    fn then(self, later: Self) -> Self {
        Self {
            learning_rate: later.learning_rate.or(self.learning_rate),
            weight_decay: later.weight_decay.or(self.weight_decay),
            frozen: later.frozen.or(self.frozen),
        }
    }
}

/// Rules by parameter name. Where several match, the last one that says something about an option decides it.
///
/// ```
/// use tapeloop_optim::{Adam, Groups, Rule};
/// let groups = Groups::new()
///     .matching(|name| name.ends_with("bias"), Rule::new().weight_decay(0.0))
///     .prefix("encoder", Rule::new().learning_rate(0.1))
///     .prefix("encoder.embedding", Rule::new().frozen(true));
/// assert_eq!(groups.rule("encoder.bias"), Rule::new().learning_rate(0.1).weight_decay(0.0));
/// assert_eq!(groups.rule("encoder_2.kernel"), Rule::new());
///
/// let optimizer = Adam::<f32>::new(1e-3).groups(groups);
/// ```
#[derive(Clone, Default)]
pub struct Groups(Vec<(Pattern, Rule)>);

#[derive(Clone)]
enum Pattern {
    Prefix(String),
    Predicate(Arc<dyn Fn(&str) -> bool + Send + Sync>),
}

impl Groups {
    /// No rules.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a rule for the parameters below a field: `encoder` means `encoder` and `encoder.kernel`, not
    /// `encoder_2.kernel`. The empty prefix means all.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>, rule: Rule) -> Self {
        self.0.push((Pattern::Prefix(prefix.into()), rule));
        self
    }

    /// Adds a rule for the parameters whose names satisfy a predicate. It is called at every step.
    #[must_use]
    pub fn matching(mut self, predicate: impl Fn(&str) -> bool + Send + Sync + 'static, rule: Rule) -> Self {
        self.0.push((Pattern::Predicate(Arc::new(predicate)), rule));
        self
    }

    /// All that is said about the parameter of this name.
    pub fn rule(&self, name: &str) -> Rule {
        let matching = self.0.iter().filter(|(pattern, _)| pattern.matches(name));
        matching.fold(Rule::new(), |rule, &(_, later)| rule.then(later))
    }
}

impl Pattern {
    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Prefix(prefix) => {
                let rest = name.strip_prefix(prefix.as_str());
                rest.is_some_and(|rest| prefix.is_empty() || rest.is_empty() || rest.starts_with('.'))
            }
            Self::Predicate(predicate) => predicate(name),
        }
    }
}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(pattern, rule)| (pattern, rule))).finish()
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(prefix) => write!(f, "{prefix:?}"),
            Self::Predicate(_) => f.write_str("predicate"),
        }
    }
}
