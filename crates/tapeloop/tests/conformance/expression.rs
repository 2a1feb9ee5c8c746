//! Cases that are a Python expression over PyTorch: read, evaluated on a tape, differentiated.

use std::collections::BTreeMap;

use tapeloop::{Element, Tape, Tensor};

use crate::Outcome;
use crate::arguments::Arguments;
use crate::case::{Any, Case, File, Numbers};
use crate::namespace;
use crate::value::{Result, Value};

pub fn run<T: Element>(case: &Case, file: &File<T>) -> Result<Outcome<T>> {
    let text = case.config["expr"].as_str().ok_or("the case has no expression")?;
    let tape = Tape::new();
    let mut names = BTreeMap::new();
    for name in file.names("in/") {
        let value = match &file.tensors[&format!("in/{name}")] {
            Any::Float(tensor) => Value::Var(tape.leaf(tensor.clone())),
            Any::Int(tensor) => Value::Ints(tensor.clone()),
            Any::Bool(tensor) => Value::Bools(tensor.clone()),
        };
        names.insert(name, value);
    }
    // What cannot be read or expressed is no result, and so no wrong one.
    let value = match evaluate(text, &tape, &names) {
        Err(problem) => return Ok(Outcome::Skipped(problem)),
        Ok(value) => value,
    };
    let mut numbers = Numbers::new();
    let mut roots = Vec::new();
    let outputs = match value {
        Value::List(items) => items,
        single => vec![single],
    };
    for (k, output) in outputs.into_iter().enumerate() {
        let any = match output {
            Value::Var(var) => {
                if let Some(cotangent) = file.float(&format!("cot/{k}")) {
                    roots.push((var, cotangent));
                }
                Any::Float(var.value())
            }
            Value::Ints(tensor) => Any::Int(tensor),
            Value::Bools(tensor) => Any::Bool(tensor),
            other => return Ok(Outcome::Skipped(format!("output {k} is {}", other.describe()))),
        };
        numbers.insert(format!("out/{k}"), any);
    }
    let gradients = roots.iter().any(|(root, _)| root.needs_grad()).then(|| tape.backward(&roots));
    for (name, value) in &names {
        if let Value::Var(leaf) = value {
            let gradient = gradients.as_ref().and_then(|gradients| gradients.wrt(*leaf).cloned());
            let gradient = gradient.unwrap_or_else(|| Tensor::zeros(leaf.shape()));
            numbers.insert(format!("grad/in/{name}"), Any::Float(gradient));
        }
    }
    Ok(Outcome::Ran(numbers))
}

/// The value of a Python expression.
fn evaluate<'t, T: Element>(
    text: &str,
    tape: &'t Tape<T>,
    names: &BTreeMap<String, Value<'t, T>>,
) -> Result<Value<'t, T>> {
    let mut reader = Reader { tokens: tokens(text)?, at: 0, tape, names: names.clone() };
    let value = reader.tuple()?;
    if reader.at < reader.tokens.len() {
        return Err(format!("`{text}`: unexpected {:?}", reader.tokens[reader.at]));
    }
    Ok(value)
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    Number(String),
    Text(String),
    Sign(&'static str),
}

const SIGNS: [&str; 27] = [
    "...", "**", "//", "==", "!=", "<=", ">=", "(", ")", "[", "]", ",", ".", ":", "+", "-", "*", "/", "%", "@", "<",
    ">", "=", "~", "&", "|", "^",
];

fn tokens(text: &str) -> Result<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        if first == '\'' || first == '"' {
            let end = rest[1..].find(first).ok_or("an unfinished string")?;
            tokens.push(Token::Text(rest[1..1 + end].to_string()));
            rest = &rest[end + 2..];
        } else if digit(rest) || (first == '.' && digit(&rest[1..])) {
            let mut end = 0;
            let bytes = rest.as_bytes();
            while end < bytes.len() {
                let exponent_sign = (bytes[end] == b'-' || bytes[end] == b'+') && matches!(bytes[end - 1], b'e' | b'E');
                if bytes[end].is_ascii_digit() || matches!(bytes[end], b'.' | b'e' | b'E' | b'_') || exponent_sign {
                    end += 1;
                } else {
                    break;
                }
            }
            tokens.push(Token::Number(rest[..end].replace('_', "")));
            rest = &rest[end..];
        } else if first.is_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(Token::Name(rest[..end].to_string()));
            rest = &rest[end..];
        } else {
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
            let sign = sign.ok_or_else(|| format!("`{first}` is no sign of an expression"))?;
            tokens.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        }
        rest = rest.trim_start();
    }
    Ok(tokens)
}

/// A recursive descent over Python's levels of precedence that evaluates as it reads.
struct Reader<'t, T: Element> {
    tokens: Vec<Token>,
    at: usize,
    tape: &'t Tape<T>,
    names: BTreeMap<String, Value<'t, T>>,
}

impl<'t, T: Element> Reader<'t, T> {
    fn peek(&self, sign: &str) -> bool {
        matches!(self.tokens.get(self.at), Some(Token::Sign(found)) if *found == sign)
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = self.peek(sign);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<()> {
        if self.take(sign) { Ok(()) } else { Err(format!("expected `{sign}` at {:?}", self.tokens.get(self.at))) }
    }

    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some(Token::Name(name)) if name == word);
        self.at += usize::from(found);
        found
    }

    /// One expression, or several with commas between.
    fn tuple(&mut self) -> Result<Value<'t, T>> {
        let starred = self.peek("*");
        let mut items = self.item()?;
        if !self.peek(",") && !starred {
            return items.pop().ok_or_else(|| "an empty expression".into());
        }
        while self.take(",") {
            if self.at == self.tokens.len() || self.peek(")") || self.peek("]") {
                break;
            }
            items.extend(self.item()?);
        }
        Ok(Value::List(items))
    }

    /// An element of a list: one expression, what `*` unpacks, or what a comprehension gives.
    fn item(&mut self) -> Result<Vec<Value<'t, T>>> {
        if self.take("*") {
            return match self.expression()? {
                Value::List(items) => Ok(items),
                other => Err(format!("{} cannot be unpacked", other.describe())),
            };
        }
        let place = self.end();
        if !matches!(self.tokens.get(place), Some(Token::Name(_))) {
            return Ok(vec![self.expression()?]);
        }
        let start = self.at;
        self.at = place + 1;
        let Some(Token::Name(name)) = self.tokens.get(self.at).cloned() else {
            return Err("a comprehension over more than one name".into());
        };
        self.at += 1;
        if !self.word("in") {
            return Err("a comprehension over more than one name".into());
        }
        let Value::List(items) = self.expression()? else { return Err("a comprehension over no list".into()) };
        let end = self.at;
        let shadowed = self.names.remove(&name);
        let mut values = Vec::new();
        for item in items {
            self.names.insert(name.clone(), item);
            self.at = start;
            values.push(self.expression()?);
            if self.at != place {
                return Err("a comprehension that cannot be read".into());
            }
        }
        self.names.remove(&name);
        shadowed.into_iter().for_each(|value| {
            self.names.insert(name.clone(), value);
        });
        self.at = end;
        Ok(values)
    }

    /// `a if condition else b`.
    fn expression(&mut self) -> Result<Value<'t, T>> {
        if matches!(self.tokens.get(self.at), Some(Token::Name(name)) if name == "lambda") {
            return Err("lambda is not supported".into());
        }
        let start = self.at;
        let Some(place) = self.ahead("if") else { return self.disjunction() };
        self.at = place + 1;
        let condition = self.disjunction()?.truth()?;
        if !self.word("else") {
            return Err("`if` without `else`".into());
        }
        if !condition {
            return self.expression();
        }
        let behind = self.at;
        self.at = start;
        let value = self.disjunction()?;
        // What is not chosen is not evaluated.
        self.at = behind;
        self.at = self.end();
        Ok(value)
    }

    /// Where this word is in the expression that begins here.
    fn ahead(&self, word: &str) -> Option<usize> {
        (self.at..self.end())
            .scan(0, |depth, place| {
                match &self.tokens[place] {
                    Token::Sign("(" | "[") => *depth += 1,
                    Token::Sign(")" | "]") => *depth -= 1,
                    _ => {}
                }
                Some((*depth == 0 && self.tokens[place] == Token::Name(word.into())).then_some(place))
            })
            .flatten()
            .next()
    }

    /// Where the expression ends that begins here.
    fn end(&self) -> usize {
        let mut depth = 0;
        for (place, token) in self.tokens.iter().enumerate().skip(self.at) {
            match token {
                Token::Sign("(" | "[") => depth += 1,
                Token::Sign("," | ":" | "=") if depth == 0 => return place,
                Token::Sign(")" | "]") if depth == 0 => return place,
                Token::Sign(")" | "]") => depth -= 1,
                Token::Name(name) if depth == 0 && name == "for" => return place,
                _ => {}
            }
        }
        self.tokens.len()
    }

    fn disjunction(&mut self) -> Result<Value<'t, T>> {
        let value = self.negation()?;
        if self.word("and") || self.word("or") {
            return Err("`and` and `or` are not supported".into());
        }
        Ok(value)
    }

    fn negation(&mut self) -> Result<Value<'t, T>> {
        if self.word("not") {
            return Ok(Value::Truth(!self.negation()?.truth()?));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Value<'t, T>> {
        let left = self.bits(0)?;
        for (sign, name) in [("==", "eq"), ("!=", "ne"), ("<=", "le"), (">=", "ge"), ("<", "lt"), (">", "gt")] {
            if self.take(sign) {
                let right = self.bits(0)?;
                if ["==", "!=", "<=", ">=", "<", ">"].iter().any(|sign| self.peek(sign)) {
                    return Err("chained comparisons are not supported".into());
                }
                return self.call(name, vec![left, right]);
            }
        }
        Ok(left)
    }

    /// `|`, `^` and `&`, each binding more than the one before.
    fn bits(&mut self, level: usize) -> Result<Value<'t, T>> {
        let Some((sign, name)) = [("|", "bitwise_or"), ("^", "bitwise_xor"), ("&", "bitwise_and")].get(level) else {
            return self.sum();
        };
        let mut left = self.bits(level + 1)?;
        while self.take(sign) {
            let right = self.bits(level + 1)?;
            left = self.call(name, vec![left, right])?;
        }
        Ok(left)
    }

    fn sum(&mut self) -> Result<Value<'t, T>> {
        let mut left = self.product()?;
        loop {
            let name = if self.take("+") {
                "add"
            } else if self.take("-") {
                "sub"
            } else {
                return Ok(left);
            };
            let right = self.product()?;
            left = self.call(name, vec![left, right])?;
        }
    }

    fn product(&mut self) -> Result<Value<'t, T>> {
        let mut left = self.unary()?;
        loop {
            let signs = [("*", "mul"), ("/", "div"), ("@", "matmul"), ("%", "remainder"), ("//", "floor_divide")];
            let Some((sign, name)) = signs.into_iter().find(|(sign, _)| self.peek(sign)) else { return Ok(left) };
            self.expect(sign)?;
            let right = self.unary()?;
            left = self.call(name, vec![left, right])?;
        }
    }

    fn unary(&mut self) -> Result<Value<'t, T>> {
        if self.take("-") {
            let value = self.unary()?;
            return self.call("neg", vec![value]);
        }
        if self.take("~") {
            let value = self.unary()?;
            return self.call("bitwise_not", vec![value]);
        }
        if self.take("+") {
            return self.unary();
        }
        self.power()
    }

    fn power(&mut self) -> Result<Value<'t, T>> {
        let base = self.postfix()?;
        if self.take("**") {
            let exponent = self.unary()?;
            return self.call("pow", vec![base, exponent]);
        }
        Ok(base)
    }

    fn postfix(&mut self) -> Result<Value<'t, T>> {
        let mut value = self.atom()?;
        loop {
            if self.take(".") {
                let Some(Token::Name(name)) = self.tokens.get(self.at).cloned() else {
                    return Err("a dot without a name".into());
                };
                self.at += 1;
                let module = match &value {
                    Value::Name(module) => Some(module.clone()),
                    _ => None,
                };
                if self.take("(") {
                    let mut arguments = self.arguments(module.as_deref().unwrap_or_default())?;
                    if module.is_none() {
                        arguments.positional.insert(0, value);
                    }
                    value = namespace::call(self.tape, &name, arguments)?;
                } else if module.is_some() {
                    value = constant(&name).unwrap_or(Value::Name(name));
                } else {
                    value = namespace::call(self.tape, &name, Arguments::new("", vec![value]))?;
                }
            } else if matches!(value, Value::Partial(..)) && self.take("(") {
                let Value::Partial(name, options) = value else { return Err("no module".into()) };
                let mut arguments = self.arguments("functional")?;
                arguments.named.extend(options.named);
                value = namespace::call(self.tape, name, arguments)?;
            } else if self.take("[") {
                let mut items = Vec::new();
                let tuple = self.peek("(");
                while !self.take("]") {
                    items.push(self.subscript()?);
                    if !self.peek("]") {
                        self.expect(",")?;
                    }
                }
                // a[(0, 1)] is a[0, 1], unlike a[[0, 1]].
                if let (true, [Value::List(inner)]) = (tuple, &items[..]) {
                    items = inner.clone();
                }
                value = namespace::index(value, &items)?;
            } else {
                return Ok(value);
            }
        }
    }

    fn subscript(&mut self) -> Result<Value<'t, T>> {
        let bound = |reader: &mut Self| -> Result<Option<i64>> {
            if reader.peek(":") || reader.peek(",") || reader.peek("]") {
                return Ok(None);
            }
            match reader.expression()? {
                Value::None => Ok(None),
                value => value.integer().map(Some),
            }
        };
        if !self.peek(":") {
            let first = self.expression()?;
            if !self.peek(":") {
                return Ok(first);
            }
            let first = if first.is_none() { None } else { Some(first.integer()?) };
            return self.slice_after(first, bound);
        }
        self.slice_after(None, bound)
    }

    fn slice_after(
        &mut self,
        start: Option<i64>,
        bound: impl Fn(&mut Self) -> Result<Option<i64>>,
    ) -> Result<Value<'t, T>> {
        self.expect(":")?;
        let end = bound(self)?;
        let step = if self.take(":") { bound(self)? } else { None };
        Ok(Value::Slice(start, end, step.unwrap_or(1)))
    }

    fn arguments(&mut self, module: &str) -> Result<Arguments<'t, T>> {
        let mut arguments = Arguments::new(module, Vec::new());
        while !self.take(")") {
            let keyword = match (self.tokens.get(self.at), self.tokens.get(self.at + 1)) {
                (Some(Token::Name(name)), Some(Token::Sign("="))) => Some(name.clone()),
                _ => None,
            };
            if let Some(name) = keyword {
                self.at += 2;
                let value = self.expression()?;
                arguments.named.insert(name, value);
            } else {
                let generator = matches!(self.tokens.get(self.end()), Some(Token::Name(_)));
                let items = self.item()?;
                match generator {
                    true => arguments.positional.push(Value::List(items)),
                    false => arguments.positional.extend(items),
                }
            }
            if !self.peek(")") {
                self.expect(",")?;
            }
        }
        Ok(arguments)
    }

    fn atom(&mut self) -> Result<Value<'t, T>> {
        let token = self.tokens.get(self.at).cloned().ok_or("the expression ends too early")?;
        self.at += 1;
        Ok(match token {
            Token::Text(text) => Value::Text(text),
            Token::Number(digits) => match digits.parse::<i64>() {
                Ok(n) => Value::Integer(n),
                Err(_) => Value::Number(digits.parse().map_err(|_| format!("`{digits}` is no number"))?),
            },
            Token::Sign("...") => Value::Ellipsis,
            Token::Sign("(") => {
                if self.take(")") {
                    return Ok(Value::List(Vec::new()));
                }
                let value = self.tuple()?;
                self.expect(")")?;
                value
            }
            Token::Sign("[") => {
                let mut items = Vec::new();
                while !self.take("]") {
                    items.extend(self.item()?);
                    if !self.peek("]") {
                        self.expect(",")?;
                    }
                }
                Value::List(items)
            }
            Token::Name(name) => match (name.as_str(), self.names.get(&name).cloned()) {
                (_, Some(value)) => value,
                ("True", _) => Value::Truth(true),
                ("False", _) => Value::Truth(false),
                ("None", _) => Value::None,
                ("inf" | "nan", _) => constant(&name).unwrap_or(Value::None),
                _ if self.take("(") => {
                    let arguments = self.arguments("builtins")?;
                    namespace::call(self.tape, &name, arguments)?
                }
                _ => Value::Name(name),
            },
            Token::Sign(sign) => return Err(format!("unexpected `{sign}`")),
        })
    }

    /// An operator.
    fn call(&self, name: &str, positional: Vec<Value<'t, T>>) -> Result<Value<'t, T>> {
        namespace::call(self.tape, name, Arguments::new("operator", positional))
    }
}

/// The constants of `torch` and `math`.
fn constant<'t, T: Element>(name: &str) -> Option<Value<'t, T>> {
    Some(Value::Number(match name {
        "inf" => f64::INFINITY,
        "nan" => f64::NAN,
        "pi" => std::f64::consts::PI,
        "e" => std::f64::consts::E,
        _ => return None,
    }))
}
