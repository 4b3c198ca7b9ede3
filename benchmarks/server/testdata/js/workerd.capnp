using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .works),
    (name = "state", disk = (path = "state", writable = true)),
  ],
  sockets = [(name = "http", service = "main")], # its address comes with the command
);

const works :Workerd.Worker = (
  modules = [
    (name = "workerd.mjs", esModule = embed "workerd.mjs"),
    (name = "works.mjs", esModule = embed "works.mjs"),
  ],
  compatibilityDate = "2025-09-01",
  compatibilityFlags = ["nodejs_compat"],
  durableObjectNamespaces = [(className = "Counter", uniqueKey = "counter", enableSql = true)],
  durableObjectStorage = (localDisk = "state"),
  bindings = [(name = "COUNTERS", durableObjectNamespace = "Counter")],
);
