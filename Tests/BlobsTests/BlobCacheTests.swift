import Blobs
import Testing

@Test("a cache knows its directory")
func cacheDirectory() {
    #expect(BlobCache(directory: "/nowhere").directory == "/nowhere")
}
