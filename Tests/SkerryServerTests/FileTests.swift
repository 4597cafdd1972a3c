import SkerryModel
import Testing

@testable import SkerryServer

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

@Suite("Files for the owner")
struct FileTests {
    /// A directory that is removed at the end.
    private final class Folder {
        let path: String
        init() {
            var name = Array("/tmp/skerry-files-XXXXXX".utf8CString)
            self.path = mkdtemp(&name) == nil ? "" : String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
        deinit {
            for name in ["run/endpoints.json", "run/.endpoints.json.new", "run/claim.link", "victim"] { unlink("\(self.path)/\(name)") }
            rmdir("\(self.path)/run")
            rmdir(self.path)
        }
    }

    private static func mode(_ path: String) -> mode_t? {
        var status = stat()
        return lstat(path, &status) == 0 ? status.st_mode : nil
    }

    @Test("a link left in the run directory is not written through")
    func link() throws {
        let folder = Folder()
        let directory = RunDirectory(data: folder.path)
        try directory.prepare()
        let victim = "\(folder.path)/victim"
        close(open(victim, O_WRONLY | O_CREAT, 0o644))
        #expect(symlink(victim, "\(folder.path)/run/.endpoints.json.new") == 0)
        try directory.writeEndpoints(box: try #require(BoxID([UInt8](repeating: 1, count: 10))), listeners: [])
        var status = stat()
        #expect(stat(victim, &status) == 0 && status.st_size == 0)
        #expect(Self.mode("\(folder.path)/run/endpoints.json") == S_IFREG | 0o600)
        #expect(Self.mode("\(folder.path)/run") == S_IFDIR | 0o700)
    }

    @Test("a data directory that everybody may write to is noticed")
    func writable() {
        let folder = Folder()
        #expect(!FileModes.isWritableByAnybody(folder.path))
        chmod(folder.path, 0o777)
        #expect(FileModes.isWritableByAnybody(folder.path))
    }
}
