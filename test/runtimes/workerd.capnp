using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [(name = "main", worker = .worker)],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);

const worker :Workerd.Worker = (
  modules = [
    (name = "bundle/dist/worker.js", esModule = embed "worker.js"),
    (name = "wasm/dist/relaxed.wasm", wasm = embed "relaxed.wasm"),
    (name = "wasm/dist/simd128-bfloat16.wasm", wasm = embed "simd128-bfloat16.wasm"),
    (name = "wasm/dist/relaxed-packed.wasm", wasm = embed "relaxed-packed.wasm"),
    (name = "wasm/dist/relaxed-rare.wasm", wasm = embed "relaxed-rare.wasm"),
    (name = "wasm/dist/relaxed-training.wasm", wasm = embed "relaxed-training.wasm"),
  ],
  compatibilityDate = "2026-11-01",
);
