import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import SkerryModel
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// The Unix socket `run/control.sock`, by which the administrator's verbs reach the running box.
///
/// Whoever can open it is the box's own user or root: the directory is 0700 and the socket 0600, so nothing is asked for.
struct ControlSocket: Service {
    let directory: RunDirectory
    let group: any EventLoopGroup
    let limits: Limits
    let commands: ControlCommands
    let logger: Logger
    /// Runs once the socket takes requests.
    let opened: @Sendable () throws -> Void

    private let open = OpenCount()
    private static let secondsMax: Int64 = 30

    func run() async throws {
        let holder = try SocketPath(self.directory)
        let server = try await ServerBootstrap(group: self.group)
            .serverChannelOption(.backlog, value: 16)
            .bind(unixDomainSocketPath: holder.path, cleanupExistingSocketFile: true) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        chmod("\(self.directory.path)/\(RunDirectory.socketName)", 0o600)
        try self.opened()
        try await withGracefulShutdownHandler {
            try await server.executeThenClose { connections in
                await withDiscardingTaskGroup { tasks in
                    do {
                        for try await connection in connections {
                            // One over the bound is closed unheard: whoever can open the socket owns the box and can wait.
                            let isAdmitted = self.open.enter(atMost: ControlVerb.connectionsMax)
                            tasks.addTask {
                                if isAdmitted { await self.serve(connection) } else { try? await connection.executeThenClose { _, _ in } }
                                if isAdmitted { self.open.leave() }
                            }
                        }
                    } catch {
                        self.logger.error("control socket failed", metadata: ["error": "\(error)"])
                    }
                }
            }
        } onGracefulShutdown: {
            server.channel.close(promise: nil)
        }
    }

    private func serve(_ connection: NIOAsyncChannel<ByteBuffer, ByteBuffer>) async {
        // A client that connects and says nothing is let go, so that it cannot hold up a shutdown.
        let deadline = connection.channel.eventLoop.scheduleTask(in: .seconds(Self.secondsMax)) { connection.channel.close(promise: nil) }
        defer { deadline.cancel() }
        try? await connection.executeThenClose { inbound, outbound in
            var request = ByteBuffer()
            for try await var bytes in inbound {
                request.writeBuffer(&bytes)
                if request.readableBytes > ControlVerb.requestBytesMax { return }
                if request.readableBytesView.last == UInt8(ascii: "\n") { break }
            }
            let reply: ControlReply
            do throws(SkerryError) {
                reply = try await self.commands.perform(try ControlRequest(request, limits: self.limits))
            } catch {
                reply = ControlReply(error)
            }
            try await outbound.write(reply.bytes)
        }
    }
}

/// A path to the socket that is short enough: the kernel takes 107 bytes, and a data directory may be longer.
///
/// While it is held, the directory is open and the path goes through `/proc/self/fd`.
final class SocketPath: Sendable {
    let path: String
    private let descriptor: Int32

    init(_ directory: RunDirectory) throws(ServerError) {
        let direct = "\(directory.path)/\(RunDirectory.socketName)"
        if direct.utf8.count <= 100 {
            self.path = direct
            self.descriptor = -1
            return
        }
        self.descriptor = open(directory.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard self.descriptor >= 0 else { throw .system("\(directory.path) could not be opened") }
        self.path = "/proc/self/fd/\(self.descriptor)/\(RunDirectory.socketName)"
    }

    deinit { if self.descriptor >= 0 { close(self.descriptor) } }
}

/// How many connections are being served.
final class OpenCount: Sendable {
    private let count = Mutex(0)

    /// False when there are `bound` already.
    func enter(atMost bound: Int) -> Bool {
        self.count.withLock { count in
            guard count < bound else { return false }
            count += 1
            return true
        }
    }

    func leave() { self.count.withLock { $0 -= 1 } }
}
