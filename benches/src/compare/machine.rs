//! What kind of machine this is. No name of it, nothing that tells it from others of its kind.

use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// The class of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Machine {
    /// The processor's name, its family and model.
    pub processor: String,
    /// Cores this process may use.
    pub cores: usize,
    /// The vector extensions that matter to matrices.
    pub vectors: Vec<String>,
    /// Caches of the first core: `L1d 32K`, …
    pub caches: Vec<String>,
    /// The operating system.
    pub system: String,
    /// The compiler.
    pub compiler: String,
}

const VECTORS: [&str; 12] = [
    "avx",
    "avx2",
    "fma",
    "avx512f",
    "avx512bw",
    "avx512vl",
    "avx512_bf16",
    "avx512_vnni",
    "amx_bf16",
    "asimd",
    "sve",
    "sve2",
];

impl Machine {
    /// This one. What it does not tell is `unknown`.
    pub fn here() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let (processor, vectors) = processor(&text("/proc/cpuinfo"));
        let caches = (0..8).filter_map(|index| {
            let of = |name: &str| {
                let value = text(&format!("/sys/devices/system/cpu/cpu0/cache/index{index}/{name}"));
                Some(value.trim().to_string()).filter(|value| !value.is_empty())
            };
            let kind = match of("type")?.as_str() {
                "Data" => "d",
                "Instruction" => return None,
                _ => "",
            };
            Some(format!("L{}{kind} {}", of("level")?, of("size")?))
        });
        let kernel = text("/proc/sys/kernel/osrelease");
        let kernel = kernel.split('.').take(2).collect::<Vec<_>>().join(".");
        let system = match pretty(&text("/etc/os-release")) {
            Some(name) => format!("{name}, Linux {kernel}"),
            None => std::env::consts::OS.to_string(),
        };
        let compiler = Command::new("rustc").arg("--version").output().ok();
        let compiler = compiler.and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
        let compiler = compiler.split('(').next().unwrap_or_default().trim().to_string();
        Self {
            processor: processor.unwrap_or_else(|| format!("unknown {}", std::env::consts::ARCH)),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            vectors,
            caches: caches.collect(),
            system,
            compiler: if compiler.is_empty() { "unknown".to_string() } else { compiler },
        }
    }
}

/// The processor and its vectors by `/proc/cpuinfo`.
fn processor(info: &str) -> (Option<String>, Vec<String>) {
    let field = |names: &[&str]| {
        let mut fields = info.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(name, _)| names.contains(&name.trim())).map(|(_, value)| value.trim())
    };
    let name = field(&["model name", "CPU part"]).map(|name| match (field(&["cpu family"]), field(&["model"])) {
        (Some(family), Some(model)) => format!("{name} (family {family}, model {model})"),
        _ => name.to_string(),
    });
    let flags: Vec<&str> = field(&["flags", "Features"]).unwrap_or_default().split_whitespace().collect();
    (name, VECTORS.iter().filter(|name| flags.contains(name)).map(ToString::to_string).collect())
}

/// `PRETTY_NAME` of `/etc/os-release`.
fn pretty(release: &str) -> Option<String> {
    let value = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(value.trim_matches('"').to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_tells() {
        let info = "processor\t: 0\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\nflags\t\t: fpu fma avx avx2 avx512f\n\nprocessor\t: 1\n";
        let (name, vectors) = processor(info);
        assert_eq!(name.unwrap(), "AMD EPYC (family 25, model 17)");
        assert_eq!(vectors, ["avx", "avx2", "fma", "avx512f"]);
        assert_eq!(processor(""), (None, vec![]));
        assert_eq!(pretty("ID=x\nPRETTY_NAME=\"Some Linux 12\"\n").unwrap(), "Some Linux 12");
        assert_eq!(pretty("ID=x"), None);
    }

    #[test]
    fn this_one_is_the_same_twice() {
        assert_eq!(Machine::here(), Machine::here());
    }
}
