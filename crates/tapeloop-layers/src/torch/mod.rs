//! PyTorch's recurrent modules: `nn.RNN`, `nn.LSTM`, `nn.GRU` with their arguments, defaults and names of weights.
//!
//! A [`Stack`] is our layers one behind the other, so that all of it runs as loops. Its parameters are in our layout, with
//! PyTorch's two biases; [`Stack::state_dict`] and [`Stack::load_state_dict`] have them under PyTorch's names and in its
//! layout, without loss. Cells of other layers are converted by [`state_dict`] and [`load_state_dict`].
//!
//! ```
//! use tapeloop_autograd::{Rng, Tape, Tensor};
//! use tapeloop_layers::torch;
//! // nn.LSTM(3, 8, num_layers=2, bidirectional=True, batch_first=True)
//! let lstm = torch::Lstm::new(8).num_layers(2).bidirectional(true).batch_first(true);
//! let mut lstm = lstm.layer::<f32>(3, &mut Rng::new(0));
//! let tape = Tape::new();
//! let x = tape.constant(Tensor::zeros([2, 5, 3]));
//! let run = lstm.run(x, None);
//! assert_eq!(run.output.shape(), [2, 5, 16]);
//! assert_eq!(run.h_n.shape(), [4, 2, 8]);
//! assert_eq!(run.c_n.unwrap().shape(), [4, 2, 8]);
//!
//! let weights = lstm.state_dict();
//! assert_eq!(weights[0].0, "weight_ih_l0");
//! assert_eq!(weights[0].1.shape(), [32, 3]);
//! lstm.load_state_dict(weights)?;
//! # Ok::<(), tapeloop_layers::Error>(())
//! ```

mod config;
mod names;
mod stack;

pub use config::{Gru, Lstm, Rnn};
pub use names::{load_state_dict, state_dict};
pub use stack::{Stack, StackOutput, Way};
