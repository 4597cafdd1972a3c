import Blobs
import Crypto
import Federation
import NIOCore
import NIOPosix
import Replication
import SkerryModel
import SkerryNode
import Synchronization
import TestKit
import Testing

@Suite("Blobs across boxes")
struct BlobChannelTests {
    /// Boxes with a blob channel and a cache on a disk each, linked by closures.
    private final class World: Sendable {
        struct Box: Sendable {
            let box: BoxID
            let shelf: BlobCache
            let channel: BlobChannel
            let metrics: NodeMetrics
            let directory: TemporaryDirectory
        }

        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let mesh = TestMesh()
        let boxes: [Box]
        private let milliseconds = Atomic<UInt64>(1_000)

        init(_ count: Int, limits: BlobLimits = BlobLimits(), bytesMax: Int = 10 << 20) {
            var boxes: [Box] = []
            for index in 0..<count {
                let (directory, metrics) = (TemporaryDirectory(), NodeMetrics())
                let shelf = BlobCache(directory: "\(directory.path)/blobs", bytesMax: bytesMax, metrics: metrics)
                let channel = BlobChannel(shelf: shelf, metrics: metrics, limits: limits, loop: self.group.next())
                boxes.append(Box(box: Sample.box(UInt8(index + 1)), shelf: shelf, channel: channel, metrics: metrics, directory: directory))
            }
            self.boxes = boxes
            for box in boxes {
                self.mesh.add(box.box, box.channel, self.group.next())
                box.channel.start(TestLinks(mesh: self.mesh, box: box.box))
            }
            self.tick()
        }

        subscript(_ index: Int) -> Box { self.boxes[index] }

        func link(_ one: Int, _ other: Int) { self.mesh.link(self[one].box, self[other].box) }
        func cut(_ one: Int, _ other: Int) { self.mesh.cut(self[one].box, self[other].box) }

        func tick(_ milliseconds: UInt64 = 1_000) {
            let now = self.milliseconds.wrappingAdd(milliseconds, ordering: .relaxed).newValue
            for box in self.boxes { box.channel.tick(now: now) }
        }

        func stop() async {
            for box in self.boxes { box.channel.stop() }
            try? await self.group.shutdownGracefully()
        }
    }

    private func with(_ count: Int, limits: BlobLimits = BlobLimits(), bytesMax: Int = 10 << 20, _ body: (World) async throws -> Void) async throws {
        let world = World(count, limits: limits, bytesMax: bytesMax)
        do {
            try await body(world)
        } catch {
            await world.stop()
            throw error
        }
        await world.stop()
    }

    private final class Count: Sendable {
        private let count = Atomic(0)
        var value: Int { self.count.load(ordering: .acquiring) }
        @discardableResult
        func add(_ more: Int) -> Int { self.count.wrappingAdd(more, ordering: .acquiringAndReleasing).newValue }
    }

    private static func bytes(_ count: Int, _ seed: UInt8 = 1) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: ($0 &* 31) >> 3) ^ seed } }

    /// Reads while time passes a hundred times as fast as it does.
    private func read(_ hash: BlobHash, on box: World.Box, _ world: World) async -> Result<[UInt8], SkerryError> {
        let isDone = Count()
        return await withTaskGroup(of: Result<[UInt8], SkerryError>?.self) { group in
            group.addTask {
                let result: Result<[UInt8], SkerryError>
                do throws(SkerryError) {
                    let path = try await box.channel.read(hash)
                    result = .success(TestFile.bytes(path) ?? [])
                } catch {
                    result = .failure(error)
                }
                isDone.add(1)
                return result
            }
            group.addTask {
                while isDone.value == 0 {
                    world.tick(100)
                    try? await Task.sleep(for: .milliseconds(1))
                }
                return nil
            }
            var found: Result<[UInt8], SkerryError> = .failure(SkerryError(.unavailable, "no answer"))
            for await result in group { if let result { found = result } }
            return found
        }
    }

    @Test("a blob is fetched from the box that has it on first read, and from nowhere on the second")
    func fetched() async throws {
        try await self.with(3) { world in
            world.link(0, 1)
            world.link(0, 2)
            let bytes = Self.bytes(700_000)
            let hash = try await world[2].channel.put(bytes)
            #expect(await self.read(hash, on: world[0], world) == .success(bytes))
            #expect(world[0].metrics.value(.blobsFetched) == 1 && world[2].metrics.value(.blobBytesServed) == 700_000)
            world.cut(0, 2)
            #expect(await self.read(hash, on: world[0], world) == .success(bytes))
            #expect(world[0].metrics.value(.blobsFetched) == 1)
            // And on from there to a box that has no link with the first.
            #expect(await self.read(hash, on: world[1], world) == .success(bytes))
        }
    }

    @Test("many readers of one blob make one fetch; of many blobs all are served, a few at a time")
    func together() async throws {
        try await self.with(2) { world in
            world.link(0, 1)
            let bytes = Self.bytes(300_000)
            let hash = try await world[1].channel.put(bytes)
            var hashes = [BlobHash](repeating: hash, count: 20)
            for seed in 2..<30 { hashes.append(try await world[1].channel.put(Self.bytes(100_000, UInt8(seed)))) }
            let channel = world[0].channel
            let paths = await withTaskGroup(of: String?.self) { group in
                for hash in hashes { group.addTask { try? await channel.read(hash) } }
                var paths: [String] = []
                for await path in group { if let path { paths.append(path) } }
                return paths
            }
            #expect(paths.count == hashes.count && Set(paths).count == 29)
            #expect(world[0].metrics.value(.blobsFetched) == 29)
        }
    }

    @Test("nobody has it, or nobody can be reached: that is said, with what to do")
    func nowhere() async throws {
        try await self.with(2) { world in
            let hash = BlobHash(SHA256.hash(data: [1, 2, 3]))
            guard case .failure(let alone) = await self.read(hash, on: world[0], world) else { return #expect(Bool(false)) }
            #expect(alone.code == .notFound)
            world.link(0, 1)
            guard case .failure(let error) = await self.read(hash, on: world[0], world) else { return #expect(Bool(false)) }
            #expect(error.code == .notFound && world[0].metrics.value(.blobsFailed) == 2)
        }
    }

    @Test("a link that ends in the middle: another holder goes on; none: the beginning stays on the disk and is not fetched again")
    func cut() async throws {
        try await self.with(3) { world in
            world.link(0, 1)
            world.link(0, 2)
            let bytes = Self.bytes(1_000_000)
            let hash = try await world[1].channel.put(bytes)
            _ = try await world[2].channel.put(bytes)
            // The fifth piece of whoever is first ends its link.
            let pieces = Count()
            let mesh = world.mesh
            mesh.lose { sent in
                guard sent.message.channel == .blob, case .piece? = try? BlobMessage(decoding: sent.message.payload) else { return false }
                let count = pieces.add(1)
                if count == 5 { Task { mesh.cut(sent.from, sent.to) } }
                return count == 5
            }
            #expect(await self.read(hash, on: world[0], world) == .success(bytes))
            #expect(world[0].metrics.value(.blobBytesFetched) == 1_000_000)
        }
        try await self.with(2) { world in
            world.link(0, 1)
            let bytes = Self.bytes(1_000_000)
            let hash = try await world[1].channel.put(bytes)
            let pieces = Count()
            let mesh = world.mesh
            mesh.lose { sent in
                guard sent.message.channel == .blob, case .piece? = try? BlobMessage(decoding: sent.message.payload) else { return false }
                let count = pieces.add(1)
                if count == 5 { Task { mesh.cut(sent.from, sent.to) } }
                return count == 5
            }
            guard case .failure(let error) = await self.read(hash, on: world[0], world) else { return #expect(Bool(false)) }
            #expect(error.code == .unavailable && error.retryAfterSeconds != nil)
            #expect(try world[0].shelf.partial(hash) > 0)
            mesh.lose { _ in false }
            world.link(0, 1)
            #expect(await self.read(hash, on: world[0], world) == .success(bytes))
            #expect(world[0].metrics.value(.blobBytesFetched) == 1_000_000, "nothing twice")
        }
    }

    @Test("a link that loses a tenth of everything brings it in the end")
    func loss() async throws {
        var limits = BlobLimits()
        limits.stallsMax = 100
        try await self.with(2, limits: limits) { world in
            world.link(0, 1)
            let bytes = Self.bytes(400_000)
            let hash = try await world[1].channel.put(bytes)
            let random = Mutex(SeededRandom(seed: 5))
            world.mesh.lose { sent in sent.message.channel == .blob && random.withLock { $0.chance(10) } }
            #expect(await self.read(hash, on: world[0], world) == .success(bytes))
        }
    }

    /// A box that says it has everything and gives something else.
    private final class Liar: FederationFeature {
        private let box: BoxID
        private let mesh: TestMesh
        private let byteCount: Int
        let asked = Count()

        init(_ box: BoxID, _ mesh: TestMesh, byteCount: Int) {
            self.box = box
            self.mesh = mesh
            self.byteCount = byteCount
        }

        var channels: Set<LinkChannel> { [.blob] }
        func start(_ links: any FederationLinks) {}
        func answer(_ kind: RequestKind, _ body: [UInt8], from box: BoxID) async -> [UInt8]? {
            self.asked.add(1)
            return BlobMessage.answer(self.byteCount)
        }
        func received(_ message: LinkMessage, from box: BoxID) {
            guard case .want(let hash, let offset, let pieces)? = try? BlobMessage(decoding: message.payload) else { return }
            for index in 0..<Int(pieces) {
                let start = Int(offset) + index * BlobMessage.pieceBytes
                let bytes = [UInt8](repeating: 0, count: min(BlobMessage.pieceBytes, self.byteCount - start))
                self.mesh.send(.blob, BlobMessage.piece(hash, offset: UInt64(start), bytes).payload, from: self.box, to: box)
            }
        }
    }

    @Test("a box that gives something else is found out and not asked again, and the true blob comes from another")
    func lying() async throws {
        try await self.with(2) { world in
            let bytes = Self.bytes(300_000)
            let hash = try await world[1].channel.put(bytes)
            let liar = Liar(Sample.box(9), world.mesh, byteCount: 300_000)
            world.mesh.add(Sample.box(9), liar, world.group.next())
            world.mesh.link(world[0].box, Sample.box(9))
            guard case .failure(let error) = await self.read(hash, on: world[0], world) else { return #expect(Bool(false)) }
            #expect(error.code == .unavailable && world[0].metrics.value(.blobsCorrupt) == 1)
            #expect(try world[0].shelf.find(hash) == nil && world[0].shelf.partial(hash) == 0)
            world.link(0, 1)
            #expect(await self.read(hash, on: world[0], world) == .success(bytes))
            #expect(liar.asked.value == 1, "it is not asked again")
        }
    }

    @Test("a liar that answers first costs one try")
    func lyingFirst() async throws {
        try await self.with(2) { world in
            let bytes = Self.bytes(300_000)
            let hash = try await world[1].channel.put(bytes)
            let liar = Liar(Sample.box(9), world.mesh, byteCount: 200_000)
            world.mesh.add(Sample.box(9), liar, world.group.next())
            world.mesh.link(world[0].box, Sample.box(9))
            world.link(0, 1)
            #expect(await self.read(hash, on: world[0], world) == .success(bytes))
        }
    }

    @Test("a blob that does not fit into the cache is refused with what to do, and leaves nothing")
    func tooLarge() async throws {
        try await self.with(2, bytesMax: 200_000) { world in
            world.link(0, 1)
            let hash = try await world[1].channel.put(Self.bytes(300_000))
            guard case .failure(let error) = await self.read(hash, on: world[0], world) else { return #expect(Bool(false)) }
            #expect(error.code == .quotaExceeded)
            #expect(try world[0].shelf.usage() == (0, 0, 0))
        }
    }

    @Test("so many fetches may wait; the next one is told to come back later")
    func busy() async throws {
        var limits = BlobLimits()
        (limits.fetchesMax, limits.fetchesWaitingMax, limits.readersMax) = (1, 2, 2)
        try await self.with(2, limits: limits) { world in
            world.link(0, 1)
            world.mesh.lose { $0.message.channel == .blob }
            var hashes: [BlobHash] = []
            for seed in 1...4 { hashes.append(try await world[1].channel.put(Self.bytes(1_000, UInt8(seed)))) }
            let channel = world[0].channel
            let waiting = hashes.prefix(3).map { hash in Task { try? await channel.read(hash) } }
            while await channel.fetching < 3 { await Task.yield() }
            let refusal = await #expect(throws: SkerryError.self) { try await channel.read(hashes[3]) }
            #expect(refusal?.code == .busy)
            channel.stop()
            for task in waiting { _ = await task.value }
        }
    }

    @Test("questions and wants of other boxes are answered within limits, and nonsense is counted")
    func serving() async throws {
        var limits = BlobLimits()
        (limits.servedPerBoxMax, limits.servedMax) = (4, 8)
        try await self.with(1, limits: limits) { world in
            let channel = world[0].channel
            let hash = try await channel.put(Self.bytes(400_000))
            let from = Sample.box(5)
            #expect(await channel.answer(.blob, BlobMessage.question(hash), from: from) == BlobMessage.answer(400_000))
            #expect(await channel.answer(.blob, [1, 2], from: from) == nil)
            for _ in 0..<50 {
                channel.received(
                    LinkMessage(origin: from, channel: .blob, addressee: world[0].box, payload: BlobMessage.want(hash, offset: 0, pieces: 4).payload),
                    from: from)
            }
            channel.received(LinkMessage(origin: from, channel: .blob, addressee: world[0].box, payload: [9]), from: from)
            #expect(await channel.answer(.assign, [], from: from) == nil)
            #expect(world[0].metrics.value(.blobRequestsRefused) > 10)
        }
    }

    @Test("when the box stops, readers are told")
    func stopping() async throws {
        try await self.with(2) { world in
            world.link(0, 1)
            world.mesh.lose { $0.message.channel == .blob }
            let hash = try await world[1].channel.put(Self.bytes(1_000))
            let channel = world[0].channel
            let reading = Task { try await channel.read(hash) }
            while await channel.fetching == 0 { await Task.yield() }
            channel.stop()
            await #expect(throws: SkerryError.self) { try await reading.value }
            await #expect(throws: SkerryError.self) { try await channel.read(hash) }
            await #expect(throws: SkerryError.self) { try await channel.put([1]) }
        }
    }
}
