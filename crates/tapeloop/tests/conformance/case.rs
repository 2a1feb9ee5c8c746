//! Case files: indices in JSON, tensors in safetensors.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use serde_json::Value as Json;
use tapeloop::{Element, Tensor};

/// A line of the index.
pub struct Case {
    pub id: String,
    pub family: String,
    pub file: String,
    pub config: Json,
    pub f32_error_out: f64,
    pub f32_error_grad: f64,
}

impl Case {
    /// The cases of a folder: those of `cases.json`, and of others like `cases.grus.json`.
    pub fn indices(folder: &Path) -> Result<Vec<Self>, String> {
        let files = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut names: Vec<_> = files.filter_map(|file| file.ok()?.file_name().into_string().ok()).collect();
        names.retain(|name| name.starts_with("cases.") && name.ends_with(".json"));
        names.sort();
        if names.is_empty() {
            return Err(format!("{}: there is no cases.json", folder.display()));
        }
        let mut cases = Vec::new();
        for name in names {
            cases.extend(Self::index(&folder.join(name))?);
        }
        Ok(cases)
    }

    fn index(path: &Path) -> Result<Vec<Self>, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let json: Json =
            serde_json::from_str(&without_words(&text)).map_err(|error| format!("{}: {error}", path.display()))?;
        let cases = json["cases"].as_array().ok_or_else(|| format!("{}: there is no `cases`", path.display()))?;
        let text = |case: &Json, key: &str| case[key].as_str().unwrap_or_default().to_string();
        let error = |case: &Json, key: &str| case["f32_err"][key].as_f64().unwrap_or(0.0);
        Ok(cases
            .iter()
            .map(|case| Self {
                id: text(case, "id"),
                family: text(case, "family"),
                file: text(case, "file"),
                config: case["config"].clone(),
                f32_error_out: error(case, "out"),
                f32_error_grad: error(case, "grad"),
            })
            .collect())
    }

    /// A constructor argument.
    pub fn arg(&self, name: &str) -> &Json {
        &self.config["args"][name]
    }
}

/// The text with Python's `Infinity` and `NaN`, which JSON has no numbers for, as strings.
fn without_words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut quoted, mut rest) = (false, text);
    while let Some(c) = rest.chars().next() {
        let word = ["-Infinity", "Infinity", "NaN"].into_iter().find(|word| !quoted && rest.starts_with(word));
        if let Some(word) = word {
            out.extend(["\"", word, "\""]);
            rest = &rest[word.len()..];
            continue;
        }
        let length = match c {
            '\\' => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            _ => c.len_utf8(),
        };
        quoted ^= c == '"';
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    out
}

/// A tensor of any of the types that occur.
#[derive(Clone, Debug)]
pub enum Any<T: Element> {
    Float(Tensor<T>),
    Int(Tensor<i64>),
    Bool(Tensor<bool>),
}

/// Tensors by name.
pub type Numbers<T> = BTreeMap<String, Any<T>>;

/// The tensors of a case: floats cast to `T`, and as they are in the file.
pub struct File<T: Element> {
    pub tensors: Numbers<T>,
    pub exact: BTreeMap<String, Tensor<f64>>,
}

impl<T: Element> File<T> {
    pub fn read(path: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let stored = SafeTensors::deserialize(&bytes).map_err(|error| format!("{}: {error}", path.display()))?;
        let (mut tensors, mut exact) = (Numbers::new(), BTreeMap::new());
        for (name, view) in stored.iter() {
            let (shape, data) = (view.shape(), view.data());
            let any = match view.dtype() {
                Dtype::F64 => {
                    let data = data.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect();
                    let tensor = Tensor::from_vec(shape, data);
                    exact.insert(name.to_string(), tensor.clone());
                    Any::Float(tensor.cast())
                }
                Dtype::I64 => {
                    let data = data.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect();
                    Any::Int(Tensor::from_vec(shape, data))
                }
                Dtype::BOOL => Any::Bool(Tensor::from_vec(shape, data.iter().map(|&b| b != 0).collect())),
                Dtype::F32 => {
                    let data = data.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap())));
                    let tensor = Tensor::from_vec(shape, data.collect());
                    exact.insert(name.to_string(), tensor.clone());
                    Any::Float(tensor.cast())
                }
                other => return Err(format!("{}: {name} has the type {other:?}", path.display())),
            };
            tensors.insert(name.to_string(), any);
        }
        Ok(Self { tensors, exact })
    }

    pub fn float(&self, name: &str) -> Option<&Tensor<T>> {
        match self.tensors.get(name) {
            Some(Any::Float(tensor)) => Some(tensor),
            _ => None,
        }
    }

    /// As [`float`](Self::float), where it must be there.
    pub fn need(&self, name: &str) -> Result<&Tensor<T>, String> {
        self.float(name).ok_or_else(|| format!("the file has no {name}"))
    }

    /// Names under a prefix, without it.
    pub fn names(&self, prefix: &str) -> Vec<String> {
        self.tensors.keys().filter_map(|name| name.strip_prefix(prefix)).map(str::to_string).collect()
    }
}
