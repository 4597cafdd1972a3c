import Blobs
import SkerryNode
import Testing

@Test("a cache knows its directory")
func cacheDirectory() {
    #expect(BlobCache(directory: "/nowhere", bytesMax: 0, metrics: NodeMetrics()).directory == "/nowhere")
}
