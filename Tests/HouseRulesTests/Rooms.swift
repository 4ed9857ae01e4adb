/// The house: which modules each room may import. Floors 0 and 1 are quiet.
let allowedImports: [String: Set<String>] = [
    "Primitives": ["CChecksum", "DequeModule"],
    "Text": ["Primitives"],
    "Cells": ["Primitives"],
    "Wire": ["Primitives", "CChecksum", "NIOCore"],
    "Raft": ["Primitives"],
    "SWIM": ["Primitives"],
    "CEL": ["Primitives", "Text"],
    "Rules": ["Primitives", "Text", "CEL"],
    "Workflows": ["Primitives", "Text", "CEL"],
    "Definitions": ["Primitives", "Text", "Yams", "TOMLKit"],
    "Observability": [
        "Primitives", "Text", "CThreadSlot", "CLogTail", "CKernelClock", "CZlib", "DequeModule", "Logging", "CoreMetrics",
        "ServiceContextModule",
        "Tracing",
    ] + system,
    "Storage": ["Primitives", "CChecksum", "Observability"] + system,
    "Transport": ["Primitives", "Observability", "Wire", "NIOCore", "NIOPosix", "NIOTLS", "NIOSSL", "Crypto"] + system,
    "Cluster": ["Primitives", "Observability", "Wire", "Raft", "SWIM", "Storage", "Transport", "NIOCore"] + system,
    "Coordinator": [
        "Primitives", "Text", "Wire", "SWIM", "CEL", "Rules", "Workflows", "Observability", "Storage", "Transport", "Cluster",
        "HashTreeCollections", "HeapModule", "DequeModule",
    ] + system,
    "Worker": [
        "Primitives", "Text", "Wire", "Observability", "Storage", "Transport", "Cluster", "CExecGuard", "Subprocess", "SystemPackage",
        "AsyncHTTPClient", "NIOCore", "NIOHTTP1",
    ] + system,
    "API": [
        "Primitives", "Text", "Definitions", "Wire", "Raft", "SWIM", "Observability", "Transport", "Cluster", "Coordinator", "Rules",
        "Workflows",
        "Hummingbird", "HTTPTypes", "NIOCore", "NIOHTTP1", "NIOPosix", "AsyncHTTPClient", "Logging", "HashTreeCollections",
    ] + system,
    "DistriC": [
        "Primitives", "Text", "Wire", "CEL", "Rules", "Workflows", "Definitions", "Observability", "Storage", "Transport", "Raft", "SWIM",
        "Cluster",
        "NIOCore", "NIOPosix", "Coordinator", "Worker", "API", "ServiceLifecycle", "UnixSignals", "Logging", "CoreMetrics", "Tracing",
    ] + system,
    "Simulation": [
        "Primitives", "Text", "Wire", "Raft", "Rules", "Workflows", "Storage", "Observability", "Cluster", "Coordinator", "NIOCore",
        "HeapModule", "HashTreeCollections", "Synchronization",
    ],
    "Simulator": ["Primitives", "Raft", "Workflows", "Simulation", "ArgumentParser"] + system,
    "Offline": [
        "Primitives", "Text", "Definitions", "Wire", "Raft", "Rules", "Workflows", "Observability", "Storage", "Transport", "Cluster",
        "Coordinator", "Simulation", "NIOCore", "NIOPosix",
    ] + system,
    "Operator": [
        "Primitives", "Text", "Cells", "Themes", "Definitions", "AsyncHTTPClient", "NIOCore", "NIOPosix", "NIOHTTP1", "ArgumentParser",
    ] + system,
    "Terminal": ["Cells", "CNcursesW", "CReadline", "CTerminal"] + system,
    "Command": [
        "Primitives", "Text", "Cells", "Definitions", "Wire", "Terminal", "DistriC", "Operator", "Offline", "Worker", "ArgumentParser",
        "X509", "SwiftASN1", "Crypto",
    ] + system,
    "Fuzzing": ["Wire", "NIOCore"],
    "Benchmark": [
        "Primitives", "Text", "Wire", "Storage", "Observability", "Coordinator", "Workflows", "Rules", "Cluster", "DistriC",
        "ArgumentParser", "Cells", "CTerminal", "Operator", "CoreMetrics", "Logging", "Transport", "NIOCore", "NIOPosix", "CChecksum",
        "Simulation",
    ] + system,
]

/// What a room above floor 1 may take of the platform.
let system: Set<String> = ["Foundation", "CoreFoundation", "Glibc", "Synchronization", "Dispatch"]

let quietRooms: Set<String> = ["Primitives", "Text", "Cells", "Wire", "Raft", "SWIM", "CEL", "Rules", "Workflows"]

func + (left: Set<String>, right: Set<String>) -> Set<String> { left.union(right) }
