//! The server binary: options, start, wait for a signal.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use eave::config::{Config, Start};
use eave::server::Server;
use eave::shutdown::Shutting;
use eave::{banner, rest};
use tokio::signal::unix::{SignalKind, signal};

/// Less memory a key than the system's, and it tells what is in use.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    if cfg!(feature = "schedules") {
        eprintln!("built for tests of schedules: its locks work nowhere else");
        return ExitCode::FAILURE;
    }
    if cfg!(feature = "simulation") {
        eprintln!("built for simulations: its sockets lead nowhere else");
        return ExitCode::FAILURE;
    }
    let mut args: Vec<_> = std::env::args_os().collect();
    // A configuration file of that name is `./import`.
    if args.get(1).is_some_and(|first| first == "import") {
        return eave::import::main(args.into_iter().skip(2));
    }
    // `eave --health [options]` asks the server that those options would start.
    let health = args.get(1).is_some_and(|first| first == "--health");
    if health {
        args.remove(1);
    }
    let config = match Config::from_process(args.into_iter(), std::env::vars_os()) {
        Ok(Start::Run(config)) => *config,
        Ok(Start::Print(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(error) => return fail(&error),
    };
    if health {
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let healthy = rest::health::check(SocketAddr::new(local, config.rest_port));
        println!("{}", if healthy { "healthy" } else { "no answer from the REST port" });
        return if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("eave: {error}");
    ExitCode::FAILURE
}

fn run(config: Config) -> io::Result<()> {
    banner::log_to(&config)?;
    let workers = match config.io_threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads as usize,
    };
    // With several workers even if there is but one: a script that takes long hands the others'
    // tasks to a thread that takes its place.
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(workers).thread_name("worker").enable_all().build()?;
    runtime.block_on(serve(config))
}

async fn serve(config: Config) -> io::Result<()> {
    let notices = config.notices();
    let token_is_set = !config.rest_token.is_empty();
    let server = Server::bind(config)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    println!("{}", banner::text(&server, token_is_set));
    for notice in notices {
        tracing::warn!("{notice}");
    }
    let node = Arc::clone(server.node());
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            node.reload_certificates();
        }
    });
    let node = Arc::clone(server.node());
    tokio::spawn(async move {
        // Whoever asks twice does not want to wait.
        for now in [false, true] {
            tokio::select! {
                _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
                _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
            }
            Shutting::begin(&node, now);
        }
    });
    server.run().await;
    tracing::info!("stopped");
    Ok(())
}
