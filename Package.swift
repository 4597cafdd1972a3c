// swift-tools-version: 6.2
import PackageDescription

// The layers of Sources/ and what each target may import: Sources/Server/SkerryServer/Documentation.docc/Architecture.md.
// A target imports layers below its own only, and only what its line here grants; `--explicit-target-dependency-import-check error` holds it to that.
let strict: [SwiftSetting] = [
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioWebSocket: Target.Dependency = .product(name: "NIOWebSocket", package: "swift-nio")
let nioTLS: Target.Dependency = .product(name: "NIOTLS", package: "swift-nio")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let nioTestUtils: Target.Dependency = .product(name: "NIOTestUtils", package: "swift-nio")
let nioSSL: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let cryptoExtras: Target.Dependency = .product(name: "CryptoExtras", package: "swift-crypto")
let x509: Target.Dependency = .product(name: "X509", package: "swift-certificates")
let swiftASN1: Target.Dependency = .product(name: "SwiftASN1", package: "swift-asn1")
let deque: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")
let hummingbirdCore: Target.Dependency = .product(name: "HummingbirdCore", package: "hummingbird")
let httpTypes: Target.Dependency = .product(name: "HTTPTypes", package: "swift-http-types")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let unixSignals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")
let configuration: Target.Dependency = .product(name: "Configuration", package: "swift-configuration")
let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

func layer(
    _ folder: String, _ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = [], plugins: [Target.PluginUsage]? = nil
) -> Target {
    .target(name: name, dependencies: dependencies, path: "Sources/\(folder)/\(name)", exclude: exclude, swiftSettings: strict, plugins: plugins)
}
/// A static Swift runtime asks the linker to export every symbol of the program, for plug-ins that we do not have: 5 MB of file and of memory.
let exportsNothing: [LinkerSetting] = [.unsafeFlags(["-Xlinker", "--no-export-dynamic"], .when(platforms: [.linux], configuration: .release))]

func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(
        name: name, dependencies: dependencies, path: "Sources/Programs/\(name)", swiftSettings: strict, linkerSettings: exportsNothing)
}
func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource]? = nil, exclude: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, path: "Tests/\(name)", exclude: exclude, resources: resources, swiftSettings: strict)
}

/// `SKERRY_TESTS=StoreTests,AccountTests swift test` builds and runs those test targets only; all of them when it is not set.
let chosenTests = Context.environment["SKERRY_TESTS"].map { Set($0.split(separator: ",").map(String.init)) }

let package = Package(
    name: "skerry",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "skerry", targets: ["skerry"]),
        .executable(name: "skerry-bench", targets: ["skerry-bench"]),
        .executable(name: "skerry-dev", targets: ["skerry-dev"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-asn1", from: "1.7.4"),
        .package(url: "https://github.com/apple/swift-certificates", from: "1.21.1"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: []),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
    ],
    targets: [
        // System
        .systemLibrary(name: "CSQLite", path: "Sources/System/CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
        .systemLibrary(name: "CLinux", path: "Sources/System/CLinux"),
        .systemLibrary(name: "CZlib", path: "Sources/System/CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        // In C, so that OpenSSL's headers never meet those of the BoringSSL inside swift-nio-ssl.
        .target(
            name: "CMosquitto", path: "Sources/System/CMosquitto",
            linkerSettings: [.linkedLibrary("mosquitto"), .linkedLibrary("ssl"), .linkedLibrary("crypto")]),
        // Build machine only: the web pages as string literals.
        .executableTarget(name: "AssetsTool", path: "Sources/System/AssetsTool", swiftSettings: strict),
        .plugin(name: "AssetsPlugin", capability: .buildTool(), dependencies: ["AssetsTool"], path: "Sources/System/AssetsPlugin"),

        // Contracts
        layer("Contracts", "SkerryModel", [nioCore, crypto]),
        layer("Contracts", "Store", ["SkerryModel", nioCore]),

        // Index
        layer("Index", "TopicRouting", ["SkerryModel"]),

        // Wire
        layer("Wire", "MQTTCodec", ["SkerryModel", nioCore]),
        layer("Wire", "ChatCodec", ["SkerryModel", nioCore]),

        // Rules
        layer("Rules", "MQTTSession", ["SkerryModel", "MQTTCodec", nioCore, deque]),
        layer("Rules", "Conversation", ["SkerryModel"]),
        layer("Rules", "Account", ["SkerryModel", crypto, cryptoExtras]),
        layer("Rules", "Replication", ["SkerryModel", nioCore, crypto]),

        // Node
        layer(
            "Node", "SkerryNode",
            [
                "SkerryModel", "Store", "TopicRouting", "MQTTCodec", "ChatCodec", "MQTTSession", "Conversation", "Account", "Replication", "CLinux",
                nioCore, deque, logging, crypto,
            ]),

        // Adapters
        layer("Adapters", "StoreSQLite", ["SkerryModel", "Store", "CSQLite", nioCore, nioPosix]),
        layer(
            "Adapters", "Listeners",
            [
                "SkerryModel", "MQTTCodec", "ChatCodec", "Account", "Replication", "SkerryNode", "CZlib",
                nioCore, nioPosix, nioHTTP1, nioWebSocket, nioTLS, nioSSL, crypto, x509, swiftASN1, logging,
            ]),
        layer(
            "Adapters", "HTTPAPI",
            ["SkerryModel", "Store", "ChatCodec", "Account", "Replication", "SkerryNode", nioCore, crypto, hummingbird, httpTypes, logging]),
        layer("Adapters", "WebPages", ["CZlib", nioCore, hummingbird, httpTypes, crypto], exclude: ["Assets"], plugins: ["AssetsPlugin"]),
        layer("Adapters", "Settings", ["SkerryModel", configuration]),
        layer(
            "Adapters", "Federation",
            [
                "SkerryModel", "Store", "MQTTCodec", "TopicRouting", "Replication", "SkerryNode", "CMosquitto", "CLinux",
                nioCore, nioPosix, nioSSL, crypto, cryptoExtras, x509, swiftASN1, logging,
            ]),
        layer("Adapters", "Blobs", ["SkerryModel", "Replication", "SkerryNode", crypto]),

        // Server
        layer(
            "Server", "SkerryServer",
            [
                "SkerryModel", "Store", "StoreSQLite", "ChatCodec", "CLinux", "Account", "Replication", "SkerryNode", "Listeners", "HTTPAPI", "WebPages",
                "Settings", "Federation", "Blobs", nioCore, nioPosix, nioHTTP1, nioSSL, hummingbird, hummingbirdCore, httpTypes, lifecycle, unixSignals,
                logging,
            ]),

        // Programs
        program("skerry", ["SkerryModel", "SkerryServer", "Settings", nioCore, argumentParser]),
        program("skerry-bench", ["SkerryModel", "MQTTCodec", "TopicRouting", nioCore, nioPosix, nioHTTP1, nioWebSocket, argumentParser]),
        program("skerry-dev", ["SkerryModel", "SkerryNode", "Listeners", "Simulator", nioCore, nioPosix, nioHTTP1, logging, argumentParser]),

        // Tests
        .target(
            name: "TestKit", dependencies: ["SkerryModel", "Store", nioCore],
            path: "Tests/TestKit", swiftSettings: strict),
        .target(
            name: "Simulator", dependencies: ["SkerryModel", "Replication", nioCore, crypto],
            path: "Tests/Simulator", swiftSettings: strict),
        tests("SkerryModelTests", ["SkerryModel", "TestKit", nioCore]),
        tests("MQTTCodecTests", ["MQTTCodec", "SkerryModel", "TestKit", nioCore, nioEmbedded, nioTestUtils], exclude: ["Corpus"]),
        tests("ChatCodecTests", ["ChatCodec", "SkerryModel", "TestKit", nioCore]),
        tests("TopicRoutingTests", ["TopicRouting", "SkerryModel", "TestKit"]),
        tests("MQTTSessionTests", ["MQTTSession", "MQTTCodec", "SkerryModel", nioCore]),
        tests("ConversationTests", ["Conversation", "SkerryModel"]),
        tests("AccountTests", ["Account", "SkerryModel", "TestKit"]),
        tests("ReplicationTests", ["Replication", "SkerryModel", "TestKit", "Simulator", nioCore, crypto], exclude: ["Golden"]),
        tests(
            "FederationTests",
            [
                "Federation", "Blobs", "CMosquitto", "Replication", "SkerryNode", "SkerryModel", "Store", "MQTTCodec", "Listeners", "Account", "TestKit",
                nioCore, nioPosix, nioEmbedded, nioSSL, crypto, x509, swiftASN1, logging,
            ]),
        tests("BlobsTests", ["Blobs", "Replication", "SkerryNode", "SkerryModel", "TestKit", nioCore, crypto]),
        tests("StoreTests", ["Store", "StoreSQLite", "CSQLite", "SkerryModel", "TestKit", nioCore], exclude: ["Golden"]),
        tests(
            "SkerryNodeTests",
            [
                "SkerryNode", "Account", "Store", "StoreSQLite", "TestKit", "SkerryModel", "MQTTCodec", "MQTTSession", "ChatCodec", "Replication",
                nioCore, nioEmbedded, logging, crypto, cryptoExtras,
            ], exclude: ["Scripts"]),
        tests(
            "ListenersTests",
            [
                "Listeners", "SkerryServer", "SkerryNode", "SkerryModel", "ChatCodec", "Account", "Replication", "Store", "TestKit", "CZlib",
                nioCore, nioPosix, nioEmbedded, nioHTTP1, nioWebSocket, nioSSL, crypto, hummingbird, logging,
            ]),
        tests(
            "HTTPAPITests",
            [
                "HTTPAPI", "SkerryNode", "SkerryModel", "MQTTCodec", "ChatCodec", "Account", "Replication", "TestKit",
                nioCore, nioPosix, nioEmbedded, hummingbird, httpTypes, logging,
            ]),
        tests("WebPagesTests", ["WebPages", "CZlib", nioCore, nioEmbedded, hummingbird, httpTypes, logging]),
        tests("SkerryServerTests", ["SkerryServer", "Settings", "SkerryNode", "SkerryModel", "ChatCodec", nioCore, logging]),
        tests("SettingsTests", ["Settings", "SkerryModel"]),
    ].filter { target in target.type != .test || chosenTests?.contains(target.name) ?? true },
    swiftLanguageModes: [.v6]
)
