// swift-tools-version: 6.2
import PackageDescription

/// The settings of every room; CONTRIBUTING.md says why each is on.
let house: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .treatWarning("DeprecatedDeclaration", as: .warning),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    // Bugs that others shipped, one of which can be chosen when a program starts: see `distric-bench simulation --bugs`.
    .define("Mutations", .when(traits: ["Mutations"])),
]

func room(_ name: String, _ dependencies: [Target.Dependency] = [], resources: [Resource] = []) -> Target {
    .target(name: name, dependencies: dependencies, resources: resources, swiftSettings: house)
}

func tests(
    _ name: String, _ dependencies: [Target.Dependency], exclude: [String] = [], resources: [Resource] = []
) -> Target {
    .testTarget(name: name, dependencies: dependencies, exclude: exclude, resources: resources, swiftSettings: house)
}

let collections = "swift-collections"
let nio = "swift-nio"

/// Embedded one by one: the binary carries its themes, and the files stay where people can read and copy them.
let themeFiles: [String] = [
    "distric-dark.toml", "distric-light.toml", "mono.toml", "tty16.toml", "high-contrast.toml", "deuteranopia.toml", "tritanopia.toml",
    "frost.toml",
]

let package = Package(
    name: "DistriC",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "DistriC", targets: ["DistriC"]),
        .executable(name: "distric", targets: ["distric"]),
        .executable(name: "distric-bench", targets: ["distric-bench"]),
    ],
    traits: [.trait(name: "Mutations", description: "Seeded bugs that can be chosen at run time, to prove that the simulator finds them.")],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.7.3"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-certificates", from: "1.21.1"),
        .package(url: "https://github.com/apple/swift-asn1", from: "1.7.4"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/LebJe/TOMLKit", from: "0.6.0"),
        .package(url: "https://github.com/apple/swift-service-context", from: "1.3.0"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2", traits: []),
    ],
    targets: [
        // C
        .target(name: "CChecksum"),
        .target(name: "CThreadSlot"),
        .target(name: "CLogTail"),
        .target(name: "CKernelClock"),
        .target(name: "CExecGuard"),
        .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"]), .brew(["zlib"])]),
        // Floor 0, quiet
        room("Primitives", ["CChecksum", .product(name: "DequeModule", package: collections)]),
        room("Text", ["Primitives"]),
        room("Cells", ["Primitives"]),
        // Floor 1, quiet
        room("Wire", ["Primitives", "CChecksum", .product(name: "NIOCore", package: nio)]),
        room("Raft", ["Primitives"]),
        room("SWIM", ["Primitives"]),
        room("CEL", ["Primitives", "Text"]),
        room("Rules", ["Primitives", "Text", "CEL"]),
        room("Workflows", ["Primitives", "Text", "CEL"]),
        // Floor 2
        room("Definitions", ["Primitives", "Text", "Yams", "TOMLKit"]),
        room(
            "Observability",
            [
                "Primitives", "Text", "CThreadSlot", "CLogTail", "CKernelClock", "CZlib",
                .product(name: "DequeModule", package: collections),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceContextModule", package: "swift-service-context"),
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ]),
        room("Storage", ["Primitives", "CChecksum", "Observability"]),
        room(
            "Transport",
            [
                "Primitives", "Observability", "Wire",
                .product(name: "NIOCore", package: nio),
                .product(name: "NIOPosix", package: nio),
                .product(name: "NIOTLS", package: nio),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "Crypto", package: "swift-crypto"),
            ]),
        // Floor 3
        room(
            "Cluster",
            ["Primitives", "Observability", "Wire", "Raft", "SWIM", "Storage", "Transport", .product(name: "NIOCore", package: nio)]),
        // Floor 4
        room(
            "Coordinator",
            [
                "Primitives", "Text", "Wire", "SWIM", "CEL", "Rules", "Workflows", "Observability", "Storage", "Transport", "Cluster",
                .product(name: "HashTreeCollections", package: collections),
                .product(name: "HeapModule", package: collections),
                .product(name: "DequeModule", package: collections),
            ]),
        room(
            "Worker",
            [
                "Primitives", "Text", "Wire", "Observability", "Storage", "Transport", "Cluster", "CExecGuard",
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOCore", package: nio),
                .product(name: "NIOHTTP1", package: nio),
            ]),
        // Floor 5
        room(
            "API",
            [
                "Primitives", "Text", "Definitions", "Wire", "Raft", "SWIM", "Observability", "Transport", "Cluster",
                "Coordinator", "Rules", "Workflows",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOHTTP1", package: nio),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HashTreeCollections", package: collections),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "NIOCore", package: nio),
                .product(name: "NIOPosix", package: nio),
                .product(name: "Logging", package: "swift-log"),
            ]),
        // Floor 6
        room(
            "DistriC",
            [
                "Primitives", "Text", "Wire", "CEL", "Rules", "Workflows", "Definitions", "Observability",
                "Storage", "Transport", "Raft", "SWIM", "Cluster", "Coordinator", "Worker", "API",
                .product(name: "NIOCore", package: nio), .product(name: "NIOPosix", package: nio),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ]),
        // Sides
        room(
            "Simulation",
            [
                "Primitives", "Text", "Wire", "Raft", "Rules", "Workflows", "Storage", "Observability", "Cluster", "Coordinator",
                .product(name: "NIOCore", package: nio), .product(name: "HeapModule", package: collections),
                .product(name: "HashTreeCollections", package: collections),
            ]),
        room(
            "Offline",
            [
                "Primitives", "Text", "Definitions", "Wire", "Raft", "Rules", "Workflows", "Observability", "Storage", "Transport",
                "Cluster", "Coordinator",
                "Simulation", .product(name: "NIOCore", package: nio), .product(name: "NIOPosix", package: nio),
            ]),
        .target(
            name: "Themes", path: "Themes", resources: themeFiles.map { .embedInCode($0) },
            swiftSettings: house),
        room(
            "Operator",
            [
                "Primitives", "Text", "Cells", "Themes", "Definitions",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOCore", package: nio),
                .product(name: "NIOHTTP1", package: nio),
                .product(name: "NIOPosix", package: nio),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            resources: [.embedInCode("Dashboards/distric-dashboard.json"), .embedInCode("Dashboards/distric-alerts.yml")]),
        .systemLibrary(name: "CNcursesW", providers: [.apt(["libncurses-dev"]), .brew(["ncurses"])]),
        .systemLibrary(name: "CReadline", providers: [.apt(["libreadline-dev"]), .brew(["readline"])]),
        .target(name: "CTerminal"),
        room("Terminal", ["Cells", "CNcursesW", "CReadline", "CTerminal"]),
        // Doors
        .executableTarget(
            name: "distric",
            dependencies: [
                "Primitives", "Text", "Cells", "Definitions", "Wire", "DistriC", "Operator", "Offline", "Terminal", "Worker",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "X509", package: "swift-certificates"),
                .product(name: "SwiftASN1", package: "swift-asn1"),
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            path: "Sources/Command",
            swiftSettings: house),
        .executableTarget(
            name: "distric-bench",
            dependencies: [
                "Primitives", "Text", "Wire", "Storage", "Observability", "Cluster", "Coordinator", "Workflows", "DistriC", "Rules",
                "Cells", "CTerminal", "Operator", "Transport", "CChecksum", "Simulation",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "NIOCore", package: nio), .product(name: "NIOPosix", package: nio),
                .product(name: "CoreMetrics", package: "swift-metrics"), .product(name: "Logging", package: "swift-log"),
            ],
            path: "Sources/Benchmark",
            swiftSettings: house),
        .executableTarget(
            name: "distric-simulator",
            dependencies: [
                "Primitives", "Raft", "Workflows", "Simulation", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Sources/Simulator",
            swiftSettings: house),
        // Tests
        tests("HouseRulesTests", []),
        tests(
            "APITests",
            [
                "API", "Cluster", "Coordinator", "Observability", "Primitives", "Raft", "Storage", "Text", "Transport", "Wire",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Hummingbird", package: "hummingbird"), .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"), .product(name: "NIOCore", package: nio),
                .product(name: "NIOHTTP1", package: nio),
            ]),
        tests(
            "BenchmarkTests",
            ["distric-bench", "Primitives", "Text", "Workflows", .product(name: "ArgumentParser", package: "swift-argument-parser")]),
        tests("EndToEndTests", ["distric", "distric-bench", "Operator", "Primitives", "Text", "Wire"], exclude: ["Clients"]),
        tests(
            "TransportTests",
            [
                "Transport", "Wire", "Primitives", "Observability", .product(name: "NIOCore", package: nio),
                .product(name: "NIOPosix", package: nio),
            ]),
        tests(
            "SimulationTests",
            [
                "Cluster", "Coordinator", "Workflows", "Rules", "Wire", "Primitives", "Text", "Simulation", "Storage", "Raft",
                .product(name: "HashTreeCollections", package: collections),
            ]),
        tests("PrimitivesTests", ["Primitives"]),
        tests("CELTests", ["CEL", "Primitives", "Text"]),
        tests("WorkflowsTests", ["Workflows", "CEL", "Primitives", "Text"]),
        tests(
            "OfflineTests",
            [
                "Offline", "Coordinator", "Cluster", "Raft", "Storage", "Rules", "Workflows", "Observability", "Wire", "Primitives", "Text",
                .product(name: "HashTreeCollections", package: collections),
            ]),
        tests(
            "ClusterTests",
            [
                "Cluster", "Raft", "SWIM", "Storage", "Transport", "Wire", "Observability", "Primitives",
                .product(name: "NIOCore", package: nio), .product(name: "NIOPosix", package: nio),
            ]),
        // Golden logs are read where they are, and written there.
        tests(
            "CoordinatorTests",
            [
                "Coordinator", "Workflows", "Rules", "Cluster", "Raft", "SWIM", "Storage", "Transport", "Observability", "Wire",
                "Primitives", "Text", .product(name: "HashTreeCollections", package: collections), .product(name: "NIOCore", package: nio),
                .product(name: "NIOPosix", package: nio),
            ], exclude: ["Golden"]),
        tests("RulesTests", ["Rules", "CEL", "Primitives", "Text"]),
        tests(
            "WorkerTests",
            [
                "Worker", "Cluster", "Observability", "Primitives", "Storage", "Transport", "Wire", .product(name: "NIOCore", package: nio),
                .product(name: "NIOPosix", package: nio),
            ]),
        tests("TextTests", ["Text", "Primitives"]),
        tests("CellsTests", ["Cells", "Primitives"]),
        tests(
            "OperatorTests",
            [
                "Operator", "Cells", "Themes", "Definitions", "Primitives", "Text",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            resources: [.copy("Screens")]),
        // Golden frames are read where they are, and written there.
        tests("WireTests", ["Wire", "Primitives", "CChecksum", .product(name: "NIOCore", package: nio)], exclude: ["Frames"]),
        // Scenarios are read where they are, and written there.
        tests("RaftTests", ["Raft", "Primitives", "Simulation"], exclude: ["Scenarios"]),
        tests("SWIMTests", ["SWIM", "Primitives", .product(name: "HeapModule", package: collections)]),
        tests("StorageTests", ["Storage", "Primitives"]),
        tests(
            "ObservabilityTests",
            [
                "Observability", "Primitives", "Text", .product(name: "Logging", package: "swift-log"),
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "ServiceContextModule", package: "swift-service-context"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ]),
    ]
)

// Only where it is asked for: it is built with '--sanitize fuzzer', and libFuzzer brings its main.
if Context.environment["DISTRIC_FUZZER"] == "1" {
    package.targets.append(
        .executableTarget(
            name: "distric-fuzz", dependencies: ["Wire", .product(name: "NIOCore", package: nio)], path: "Sources/Fuzzing",
            swiftSettings: house + [.unsafeFlags(["-parse-as-library"])]))
}
