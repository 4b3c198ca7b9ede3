using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [(name = "main", worker = .works)],
  sockets = [(name = "http", service = "main")], # its address comes with the command
);

const works :Workerd.Worker = (
  modules = [
    (name = "wasm.mjs", esModule = embed "wasm.mjs"),
    (name = "guest.wasm", wasm = embed "guest.wasm"),
  ],
  compatibilityDate = "2025-09-01",
);
