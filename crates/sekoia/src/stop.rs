//! The stop request: SIGTERM and SIGINT (E-08).

use std::{
    io::{self, Write as _},
    sync::mpsc,
    thread,
    time::Duration,
};

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// So long after the request the process ends in any case (E-11): a disk that hangs may hold up the
/// thread that all else runs on.
const LAST_RESORT: Duration = Duration::from_millis(4700);

/// A token that is cancelled by the first SIGTERM or SIGINT. If the process has not ended 4.7 seconds
/// later, it is cut off, with this exit code.
///
/// The signals have a thread of their own. SIGXFSZ is caught, too: a file that gets too long is an
/// error of the write, which says what to do, and not the end of the process.
pub(super) fn on_signals(exit_code: i32) -> io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let requested = stop.clone();
    let (tell, told) = mpsc::channel();
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || wait(&tell, &requested, exit_code))?;
    told.recv().map_err(io::Error::other)??;
    Ok(stop)
}

fn wait(ready: &mpsc::Sender<io::Result<()>>, stop: &CancellationToken, exit_code: i32) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let ended = runtime.and_then(|runtime| runtime.block_on(wait_and_cut_off(ready, stop)));
    match ended {
        Ok(()) => std::process::exit(exit_code),
        // Nobody listens any more when the start was told so already.
        Err(error) => _ = ready.send(Err(error)),
    }
}

async fn wait_and_cut_off(
    ready: &mpsc::Sender<io::Result<()>>,
    stop: &CancellationToken,
) -> io::Result<()> {
    // Its handler stays when nobody listens any more.
    drop(signal(SignalKind::from_raw(Signal::XFSZ.as_raw()))?);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    _ = ready.send(Ok(()));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stop.cancel();
    tokio::time::sleep(LAST_RESORT).await;
    // On a thread of its own, as the reader of standard error may hang, too.
    _ = thread::Builder::new().spawn(|| {
        let line = b"The process did not end in time after the stop, and was cut off; the state \
                     that is on the disk stays right\n";
        _ = io::stderr().write_all(line);
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    Ok(())
}
