package import NIOCore
package import Replication
package import SkerryModel
package import SkerryNode
import NIOPosix

/// Blobs across boxes: fetched by content hash from a box that has it, on first read (FEDERATION.md §2.2, media).
///
/// An actor whose executor is an event loop, so that links and readers are heard in order; the disk has a thread of its own, which does one thing
/// after the other.
package actor BlobChannel: FederationFeature {
    package nonisolated let loop: any EventLoop
    package nonisolated let unownedExecutor: UnownedSerialExecutor
    private nonisolated let shelf: any BlobShelf
    private nonisolated let metrics: NodeMetrics
    private nonisolated let limits: BlobLimits
    private nonisolated let disk = NIOThreadPool(numberOfThreads: 1)

    private var links: (any FederationLinks)?
    private var now: UInt64 = 0
    private var isStopped = false
    private var isDiskRunning = false
    private var fetches: [BlobHash: Fetch] = [:]
    /// Not begun yet, in order.
    private var waiting: [BlobHash] = []
    /// Boxes that gave wrong content, and until when they are not asked.
    private var distrusted: [BoxID: UInt64] = [:]
    /// Pieces being read for other boxes.
    private var served: [BoxID: Int] = [:]

    private typealias Reader = CheckedContinuation<Result<String, SkerryError>, Never>

    private struct Fetch {
        /// Nil until it is its turn, and while the disk is asked what is there.
        var pull: BlobPull?
        var readers: [Reader]
        var hasBegun = false
    }

    /// - Parameter loop: where all of it runs but the disk.
    package init(shelf: any BlobShelf, metrics: NodeMetrics, limits: BlobLimits = BlobLimits(), loop: any EventLoop) {
        self.shelf = shelf
        self.metrics = metrics
        self.limits = limits
        self.loop = loop
        self.unownedExecutor = loop.executor.asUnownedSerialExecutor()
    }

    /// Runs `body` on the loop, after everything entered before it.
    private nonisolated func enter(_ body: @escaping @Sendable (isolated BlobChannel) -> Void) {
        self.loop.execute { self.assumeIsolated(body) }
    }

    /// Runs `work` on the disk's thread, after everything given to it before, and `then` on the loop.
    private func onDisk<Value: Sendable>(
        _ work: @escaping @Sendable (any BlobShelf) throws -> Value,
        _ then: @escaping @Sendable (isolated BlobChannel, Result<Value, SkerryError>) -> Void
    ) {
        if !self.isDiskRunning {
            self.isDiskRunning = true
            self.disk.start()
        }
        let shelf = self.shelf
        self.disk.submit { state in
            let result: Result<Value, SkerryError>
            do {
                guard case .active = state else { throw SkerryError(.unavailable, "The box is going down.") }
                result = .success(try work(shelf))
            } catch {
                result = .failure(error as? SkerryError ?? SkerryError(.unavailable, "The box's disk could not be read."))
            }
            self.enter { then($0, result) }
        }
    }

    // MARK: - For the box

    /// Where the blob is on this box's disk, fetched from another one first if need be.
    package func read(_ hash: BlobHash) async throws(SkerryError) -> String {
        let result: Result<String, SkerryError> = await withCheckedContinuation { reader in self.add(reader, hash) }
        return try result.get()
    }

    package func put(_ bytes: [UInt8]) async throws(SkerryError) -> BlobHash { try await self.put { shelf in try shelf.put(bytes) } }
    package func put(file path: String) async throws(SkerryError) -> BlobHash { try await self.put { shelf in try shelf.put(file: path) } }

    private func put(_ work: @escaping @Sendable (any BlobShelf) throws -> BlobHash) async throws(SkerryError) -> BlobHash {
        let result: Result<BlobHash, SkerryError> = await withCheckedContinuation { continuation in
            if self.isStopped { return continuation.resume(returning: .failure(Self.goingDown)) }
            self.onDisk(work) { _, result in continuation.resume(returning: result) }
        }
        return try result.get()
    }

    /// Blobs that somebody waits for.
    package var fetching: Int { self.fetches.count }

    private static var goingDown: SkerryError { SkerryError(.unavailable, "The box is going down.") }
    private static var busy: SkerryError { SkerryError(.busy, "Too many files are being fetched from other boxes; try again shortly.", retryAfterSeconds: 5) }

    private func add(_ reader: Reader, _ hash: BlobHash) {
        if self.isStopped { return reader.resume(returning: .failure(Self.goingDown)) }
        if let fetch = self.fetches[hash] {
            guard fetch.readers.count < self.limits.readersMax else { return reader.resume(returning: .failure(Self.busy)) }
            self.fetches[hash]?.readers.append(reader)
            return
        }
        guard self.waiting.count < self.limits.fetchesWaitingMax else { return reader.resume(returning: .failure(Self.busy)) }
        self.fetches[hash] = Fetch(readers: [reader])
        self.waiting.append(hash)
        self.beginNext()
    }

    // MARK: - Fetching

    private func beginNext() {
        while !self.waiting.isEmpty, self.fetches.values.count(where: { $0.hasBegun }) < self.limits.fetchesMax {
            let hash = self.waiting.removeFirst()
            self.fetches[hash]?.hasBegun = true
            self.onDisk { shelf in
                if let found = try shelf.find(hash) { return Place.here(found.path) }
                return .partial(try shelf.partial(hash))
            } _: { channel, result in
                channel.begin(hash, result)
            }
        }
    }

    private enum Place: Sendable {
        case here(String)
        case partial(Int)
    }

    private func begin(_ hash: BlobHash, _ place: Result<Place, SkerryError>) {
        switch place {
        case .failure(let error): self.end(hash, .failure(error))
        case .success(.here(let path)): self.end(hash, .success(path))
        case .success(.partial(let byteCount)):
            guard self.fetches[hash] != nil else { return }
            var pull = BlobPull(partial: byteCount, limits: self.limits)
            let effects = pull.start((self.links?.peers ?? []).filter { self.isTrusted($0) }, now: self.now)
            self.fetches[hash]?.pull = pull
            self.perform(effects, hash)
        }
    }

    private func isTrusted(_ box: BoxID) -> Bool { (self.distrusted[box] ?? 0) <= self.now }

    private func handle(_ event: BlobPull.Event, _ hash: BlobHash) {
        guard let effects = self.fetches[hash]?.pull?.handle(event, now: self.now) else { return }
        self.perform(effects, hash)
    }

    private func perform(_ effects: [BlobPull.Effect], _ hash: BlobHash) {
        for effect in effects {
            switch effect {
            case .ask(let box): self.ask(box, hash)
            case .want(let box, let offset, let pieces):
                self.links?.send(.blob, BlobMessage.want(hash, offset: offset, pieces: pieces).payload, to: box)
            case .write(let bytes, let offset, let total):
                self.metrics.add(.blobBytesFetched, bytes.count)
                self.onDisk { shelf in
                    try shelf.append(bytes, to: hash, at: offset, of: total)
                } _: { channel, result in
                    switch result {
                    case .success: channel.handle(.written, hash)
                    case .failure(let error): channel.handle(.writeFailed(error), hash)
                    }
                }
            case .verify:
                self.onDisk { shelf in
                    try shelf.complete(hash)
                } _: { channel, result in
                    switch result {
                    case .success(let isRight): channel.handle(.verified(isRight), hash)
                    case .failure(let error): channel.handle(.writeFailed(error), hash)
                    }
                }
            case .discard: self.onDisk({ shelf in shelf.discard(hash) }, { _, _ in })
            case .distrust(let box):
                self.metrics.add(.blobsCorrupt)
                self.distrusted[box] = self.now + self.limits.distrustMilliseconds
            case .done:
                self.metrics.add(.blobsFetched)
                self.onDisk { shelf in
                    try shelf.find(hash)?.path
                } _: { channel, result in
                    let path = result.flatMap {
                        $0.map { .success($0) } ?? .failure(SkerryError(.storageLow, "The file was fetched, and there was no room to keep it."))
                    }
                    channel.end(hash, path)
                }
            case .failed(let error):
                self.metrics.add(.blobsFailed)
                self.end(hash, .failure(error))
            }
        }
    }

    private func ask(_ box: BoxID, _ hash: BlobHash) {
        guard let links = self.links else { return self.enter { $0.handle(.answered(box, byteCount: nil), hash) } }
        Task {
            let answer = await links.ask(.blob, BlobMessage.question(hash), of: box)
            self.enter { $0.handle(.answered(box, byteCount: answer.flatMap { BlobMessage.byteCount(ofAnswer: $0) }), hash) }
        }
    }

    private func end(_ hash: BlobHash, _ result: Result<String, SkerryError>) {
        guard let fetch = self.fetches.removeValue(forKey: hash) else { return }
        for reader in fetch.readers { reader.resume(returning: result) }
        self.beginNext()
    }

    // MARK: - From the service

    package nonisolated var channels: Set<LinkChannel> { [.blob] }
    package nonisolated var requests: Set<RequestKind> { [.blob] }
    package nonisolated func start(_ links: any FederationLinks) { self.enter { $0.links = links } }

    package nonisolated func linkUp(_ box: BoxID) {
        self.enter { channel in
            guard channel.isTrusted(box) else { return }
            for hash in Array(channel.fetches.keys) { channel.handle(.linkUp(box), hash) }
        }
    }

    package nonisolated func linkDown(_ box: BoxID) {
        self.enter { channel in
            for hash in Array(channel.fetches.keys) { channel.handle(.linkDown(box), hash) }
        }
    }

    package nonisolated func tick(now monotonic: UInt64) {
        self.enter { channel in
            channel.now = monotonic
            channel.distrusted = channel.distrusted.filter { $0.value > monotonic }
            for hash in Array(channel.fetches.keys) { channel.handle(.tick, hash) }
        }
    }

    package nonisolated func received(_ message: LinkMessage, from box: BoxID) {
        self.enter { channel in
            guard let message = try? BlobMessage(decoding: message.payload) else { return channel.metrics.add(.blobRequestsRefused) }
            switch message {
            case .want(let hash, let offset, let pieces): channel.serve(hash, Int(clamping: offset), Int(clamping: pieces), to: box)
            case .piece(let hash, let offset, let bytes): channel.handle(.piece(box, offset: offset, bytes), hash)
            case .absent(let hash): channel.handle(.absent(box), hash)
            }
        }
    }

    package nonisolated func stop() { self.enter { $0.shut() } }

    private func shut() {
        self.isStopped = true
        self.links = nil
        for hash in Array(self.fetches.keys) { self.end(hash, .failure(Self.goingDown)) }
        self.waiting = []
        if self.isDiskRunning { self.disk.shutdownGracefully { _ in } }
    }

    // MARK: - For other boxes

    package func answer(_ kind: RequestKind, _ body: [UInt8], from box: BoxID) async -> [UInt8]? {
        guard kind == .blob, !self.isStopped, let hash = try? BlobMessage.hash(ofQuestion: body) else { return nil }
        guard self.mayServe(box, 1) else {
            self.metrics.add(.blobRequestsRefused)
            return nil
        }
        self.served[box, default: 0] += 1
        let byteCount: Int? = await withCheckedContinuation { continuation in
            self.onDisk { shelf in
                try shelf.find(hash)?.byteCount
            } _: { channel, result in
                channel.didServe(box, 1)
                continuation.resume(returning: try? result.get())
            }
        }
        return BlobMessage.answer(byteCount)
    }

    private func mayServe(_ box: BoxID, _ pieces: Int) -> Bool {
        (self.served[box] ?? 0) + pieces <= self.limits.servedPerBoxMax && self.served.values.reduce(0, +) + pieces <= self.limits.servedMax
    }

    private func didServe(_ box: BoxID, _ pieces: Int) {
        let left = (self.served[box] ?? 0) - pieces
        self.served[box] = left > 0 ? left : nil
    }

    /// Pieces one after the other; a box that wants more than it may is not answered, and asks again.
    private func serve(_ hash: BlobHash, _ offset: Int, _ pieces: Int, to box: BoxID) {
        guard !self.isStopped, self.mayServe(box, pieces) else { return self.metrics.add(.blobRequestsRefused) }
        self.served[box, default: 0] += pieces
        for index in 0..<pieces {
            let start = offset + index * BlobMessage.pieceBytes
            self.onDisk { shelf in
                try shelf.read(hash, from: start, byteCount: BlobMessage.pieceBytes)
            } _: { channel, result in
                channel.didServe(box, 1)
                switch result {
                case .success(let bytes?) where !bytes.isEmpty:
                    channel.metrics.add(.blobBytesServed, bytes.count)
                    channel.links?.send(.blob, BlobMessage.piece(hash, offset: UInt64(start), bytes).payload, to: box)
                case .success(.some): return
                case .success(nil), .failure:
                    if index == 0 { channel.links?.send(.blob, BlobMessage.absent(hash).payload, to: box) }
                }
            }
        }
    }
}
