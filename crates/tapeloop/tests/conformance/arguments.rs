//! What a call passes, and which of it a function has read.
//!
//! A function asks for every argument that it understands, by place and by names. What nobody asked for makes the call
//! an error, so that no option is ignored.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use tapeloop::losses::Reduction;
use tapeloop::{Element, Tensor, Var};

use crate::value::{Result, Value};

/// The place of an argument that has only a name.
pub const KEYWORD: usize = usize::MAX;

#[derive(Clone, Debug)]
pub struct Arguments<'t, T: Element> {
    /// The last name in front of the function's: `torch`, `F`, `linalg`; empty for a method.
    pub module: String,
    /// For a method, what stands in front of the dot comes first.
    pub positional: Vec<Value<'t, T>>,
    pub named: BTreeMap<String, Value<'t, T>>,
    read: RefCell<(BTreeSet<usize>, BTreeSet<String>)>,
}

impl<'t, T: Element> Arguments<'t, T> {
    pub fn new(module: &str, positional: Vec<Value<'t, T>>) -> Self {
        Self { module: module.into(), positional, named: BTreeMap::new(), read: RefCell::default() }
    }

    /// An error if there is an argument that was not read. `None` is everywhere what is not given.
    pub fn all_read(&self, function: &str) -> Result<()> {
        let read = self.read.borrow();
        for (name, value) in &self.named {
            if !read.1.contains(name) && !value.is_none() {
                return Err(format!("argument `{name}` of {function} is not supported"));
            }
        }
        for (place, value) in self.positional.iter().enumerate() {
            if !read.0.contains(&place) && !value.is_none() {
                return Err(format!("argument {place} of {function} is not supported"));
            }
        }
        Ok(())
    }

    /// The argument at a place, or of one of these names; `None` where it is not given.
    pub fn get(&self, place: usize, names: &str) -> Value<'t, T> {
        for name in names.split(' ') {
            if let Some(value) = self.named.get(name) {
                self.read.borrow_mut().1.insert(name.to_string());
                return value.clone();
            }
        }
        self.read.borrow_mut().0.insert(place);
        self.positional.get(place).cloned().unwrap_or(Value::None)
    }

    /// Whether an argument has a name that is given.
    pub fn has(&self, name: &str) -> bool {
        self.named.contains_key(name)
    }

    pub fn var(&self, place: usize, names: &str) -> Result<Var<'t, T>> {
        self.get(place, names).var().map_err(|error| format!("argument {place} ({names}): {error}"))
    }

    pub fn maybe_var(&self, place: usize, names: &str) -> Result<Option<Var<'t, T>>> {
        match self.get(place, names) {
            Value::None => Ok(None),
            value => value.var().map(Some),
        }
    }

    pub fn number(&self, place: usize, names: &str, default: f64) -> Result<f64> {
        match self.get(place, names) {
            Value::None => Ok(default),
            value => value.number(),
        }
    }

    pub fn integer(&self, place: usize, names: &str, default: i64) -> Result<i64> {
        match self.get(place, names) {
            Value::None => Ok(default),
            value => value.integer(),
        }
    }

    pub fn axis(&self, place: usize, names: &str, default: isize) -> Result<isize> {
        self.integer(place, names, default as i64).map(|n| n as isize)
    }

    pub fn truth(&self, place: usize, names: &str, default: bool) -> Result<bool> {
        match self.get(place, names) {
            Value::None => Ok(default),
            value => value.truth(),
        }
    }

    pub fn text(&self, place: usize, names: &str, default: &str) -> Result<String> {
        match self.get(place, names) {
            Value::None => Ok(default.to_string()),
            Value::Text(text) => Ok(text),
            other => Err(format!("{} is no text", other.describe())),
        }
    }

    pub fn ints(&self, place: usize, names: &str) -> Result<Tensor<i64>> {
        match self.get(place, names) {
            Value::Ints(tensor) => Ok(tensor),
            other => Err(format!("{} is no tensor of integers", other.describe())),
        }
    }

    pub fn bools(&self, place: usize, names: &str) -> Result<Tensor<bool>> {
        match self.get(place, names) {
            Value::Bools(tensor) => Ok(tensor),
            other => Err(format!("{} is no tensor of truth values", other.describe())),
        }
    }

    /// One axis, several, or none: all of them, which is what an empty list says.
    pub fn axes(&self, place: usize) -> Result<Vec<isize>> {
        match self.get(place, "dim axis") {
            Value::None => Ok(Vec::new()),
            value => Ok(value.integers()?.into_iter().map(|n| n as isize).collect()),
        }
    }

    /// Integers given one by one or as a list, from a place on.
    pub fn list(&self, place: usize, names: &str) -> Result<Vec<i64>> {
        match self.get(place, names) {
            Value::None => Ok(Vec::new()),
            Value::Integer(_) if self.positional.len() > place + 1 => {
                self.read.borrow_mut().0.extend(place..self.positional.len());
                self.positional[place..].iter().map(Value::integer).collect()
            }
            value => value.integers(),
        }
    }

    /// As [`list`](Self::list), of lengths.
    pub fn sizes(&self, place: usize, names: &str) -> Result<Vec<usize>> {
        lengths(self.list(place, names)?)
    }

    pub fn lengths(&self, place: usize, names: &str, default: &[usize]) -> Result<Vec<usize>> {
        match self.get(place, names) {
            Value::None => Ok(default.to_vec()),
            Value::List(items) if items.is_empty() => Ok(default.to_vec()),
            value => lengths(value.integers()?),
        }
    }

    /// Tensors given one by one or as a list, from a place on.
    pub fn tensors(&self, place: usize, names: &str) -> Result<Vec<Value<'t, T>>> {
        match self.get(place, names) {
            Value::List(items) => Ok(items),
            _ => {
                let items = self.positional.get(place..).unwrap_or_default().to_vec();
                self.read.borrow_mut().0.extend(place..self.positional.len());
                Ok(items)
            }
        }
    }

    pub fn reduction(&self, place: usize) -> Result<Reduction> {
        // What PyTorch had before `reduction`.
        let (average, reduce) = (self.get(KEYWORD, "size_average"), self.get(KEYWORD, "reduce"));
        match (reduce, average) {
            (Value::None, Value::None) => {}
            (Value::Truth(false), _) => return Ok(Reduction::None),
            (_, Value::Truth(false)) => return Ok(Reduction::Sum),
            _ => return Ok(Reduction::Mean),
        }
        match self.text(place, "reduction", "mean")?.as_str() {
            "mean" => Ok(Reduction::Mean),
            "sum" => Ok(Reduction::Sum),
            "none" => Ok(Reduction::None),
            other => Err(format!("unknown reduction {other}")),
        }
    }
}

fn lengths(numbers: Vec<i64>) -> Result<Vec<usize>> {
    numbers.into_iter().map(|n| usize::try_from(n).map_err(|_| format!("{n} is no length"))).collect()
}
