//! z
use tapeloop::prelude::*;
use tapeloop::*;
use tapeloop_benches::*;
fn main() {
    let mut rng = Rng::new(0);
    let rnn = Rnn::new(Peephole::<f32>::new(64, 256, &mut rng), RnnOptions::default());
    let lstm = Lstm::new(256).layer::<f32>(64, &mut rng);
    for t in [4, 8, 16, 32, 64, 128] {
        let x = Tensor::normal([32, t, 64], 0.0, 1.0, &mut rng);
        for which in 0..2 {
            let mut tape = Tape::with_threads(Threads::new(1));
            let (mut best, mut fwd) = (f64::MAX, f64::MAX);
            for _ in 0..(2000 / t).max(20) {
                let s = std::time::Instant::now();
                let (_, g) = tape.value_and_grad(|tape| {
                    let x = tape.constant(x.clone());
                    let y = if which == 0 { rnn.run(x, None).output } else { lstm.run(x, None).output };
                    fwd = fwd.min(s.elapsed().as_secs_f64());
                    y.square().sum_all()
                });
                drop(g);
                best = best.min(s.elapsed().as_secs_f64());
            }
            println!("{} T={t}: {:.3} us per step, forward {:.3}", ["peephole", "lstm"][which], best * 1e6 / t as f64, fwd * 1e6 / t as f64);
        }
    }
}
