using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [(name = "main", worker = .worker)],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);

const worker :Workerd.Worker = (
  modules = [
    (name = "bundle/worker.js", esModule = embed "worker.js"),
    (name = "wasm/dist/relaxed.wasm", wasm = embed "relaxed.wasm"),
  ],
  compatibilityDate = "2026-11-01",
);
