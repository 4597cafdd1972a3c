import CZlib
import NIOCore

/// The gzip form of a whole piece of memory.
enum Gzip {
    /// 15 bits of window, and 16 for gzip's own header and trailer.
    private static let windowBits: Int32 = 15 + 16

    static func compress(_ bytes: UnsafeBufferPointer<UInt8>) -> ByteBuffer? {
        var stream = z_stream()
        guard skerry_deflate_init(&stream, Z_BEST_COMPRESSION, Self.windowBits, 9) == Z_OK else { return nil }
        defer { deflateEnd(&stream) }
        let bound = Int(deflateBound(&stream, UInt(bytes.count)))
        var buffer = ByteBufferAllocator().buffer(capacity: bound)
        // zlib reads the input only; its header says otherwise for the sake of old compilers.
        stream.next_in = UnsafeMutablePointer(mutating: bytes.baseAddress)
        stream.avail_in = UInt32(bytes.count)
        var status = Z_OK
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: bound) { space in
            stream.next_out = space.bindMemory(to: UInt8.self).baseAddress
            stream.avail_out = UInt32(bound)
            status = deflate(&stream, Z_FINISH)
            return bound - Int(stream.avail_out)
        }
        return status == Z_STREAM_END ? ByteBuffer(buffer: buffer) : nil
    }
}
