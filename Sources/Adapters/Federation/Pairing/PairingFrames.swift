import NIOCore
import Replication

/// A length of four bytes, and so many bytes. A longer frame than a pairing message may be ends the connection before it is read.
enum PairingFrames {
    struct TooLong: Error {}

    /// The first frame of `buffer`, taken out; nil while it is not there as a whole.
    static func next(_ buffer: inout ByteBuffer) throws -> [UInt8]? {
        guard let count = buffer.getInteger(at: buffer.readerIndex, as: UInt32.self) else { return nil }
        guard count <= UInt32(PairingMessage.frameBytesMax) else { throw TooLong() }
        guard buffer.readableBytes >= 4 + Int(count) else { return nil }
        buffer.moveReaderIndex(forwardBy: 4)
        return buffer.readBytes(length: Int(count))
    }

    static func frame(_ message: PairingMessage, _ allocator: ByteBufferAllocator) -> ByteBuffer {
        let bytes = message.bytes
        var buffer = allocator.buffer(capacity: bytes.count + 4)
        buffer.writeInteger(UInt32(bytes.count))
        buffer.writeBytes(bytes)
        return buffer
    }
}
