//! The server binary: options, start, wait for a signal.

use std::process::ExitCode;

use eave::config::{Config, Start};
use eave::server::Server;
use tokio::signal::unix::{SignalKind, signal};

/// Measured against the system's: less memory a key, and it tells what is in use.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let config = match Config::from_process(std::env::args_os(), std::env::vars_os()) {
        Ok(Start::Run(config)) => *config,
        Ok(Start::Print(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("eave: {error}");
            return ExitCode::FAILURE;
        }
    };
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("eave: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: Config) -> std::io::Result<()> {
    let workers = match config.io_threads {
        0 => std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2)),
        threads => threads as usize,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .thread_name("worker")
        .build()?;
    runtime.block_on(async {
        let server = Server::bind(config)?;
        let shutdown = server.node().shutdown.clone();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            shutdown.cancel();
        });
        server.run().await;
        Ok(())
    })
}
