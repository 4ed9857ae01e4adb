import Primitives

/// Nodes as a leader knows them: one that leads and works, one that follows, workers that take tasks, empty themselves, are away.
enum SampleNodes {
    static let all: [Value] =
        SampleData.json(
            #"""
            [
              {"id": "c-1", "role": "coordinator,worker", "state": "alive", "standing": "available", "raft": "leader", "running": 12,
               "slots": 16, "cordoned": false, "free": 4, "load": 1.25, "drain": null, "version": "0.5.0", "clockOffsetMs": 0,
               "heardMs": null, "since": "2026-11-23T09:12:40.000Z", "labels": [], "kinds": [], "address": "10.0.0.1:9000",
               "http": "http://10.0.0.1:8080", "featureLevel": 4},
              {"id": "c-2", "role": "coordinator", "state": "suspect", "standing": null, "raft": "follower", "running": null,
               "slots": null, "cordoned": null, "free": null, "load": null, "drain": null, "version": "0.5.0", "clockOffsetMs": null,
               "heardMs": null, "since": null, "labels": [], "kinds": [], "address": "10.0.0.2:9000", "http": "http://10.0.0.2:8080",
               "featureLevel": 4},
              {"id": "w-07", "role": "worker", "state": "alive", "standing": "draining", "raft": null, "running": 19, "slots": 32,
               "cordoned": true, "free": 0, "load": 7.5, "drain": {"leftMs": 41000, "finished": 8, "givenBack": 0},
               "version": "0.4.9", "clockOffsetMs": -3, "heardMs": 140, "since": "2026-11-21T22:04:31.000Z", "labels": ["zone=north"],
               "kinds": ["exec@1"], "address": "10.0.0.7:9000", "http": "http://10.0.0.7:8080", "featureLevel": 4},
              {"id": "w-08", "role": "worker", "state": "alive", "standing": "cordoned", "raft": null, "running": 0, "slots": 32,
               "cordoned": true, "free": 0, "load": 0.1, "drain": null, "version": "0.5.0", "clockOffsetMs": 12, "heardMs": 2800,
               "since": "2026-11-23T14:00:00.000Z", "labels": [], "kinds": ["exec@1"], "address": "10.0.0.8:9000", "http": null,
               "featureLevel": 4},
              {"id": "w-09", "role": "worker", "state": "lost", "standing": null, "raft": null, "running": 3, "slots": null,
               "cordoned": null, "free": null, "load": null, "drain": null, "version": "0.5.0", "clockOffsetMs": null, "heardMs": null,
               "since": null, "labels": [], "kinds": [], "address": "10.0.0.9:9000", "http": null, "featureLevel": 4}
            ]
            """#
        ).list ?? []
}
