#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// The files of the repository, as `tidy` reads them.
struct SourceTree {
    let root: String

    /// Paths below `folder` relative to the root, sorted; dot-files and what is built are left out.
    func files(in folder: String, suffix: String) -> [String] {
        self.entries(in: folder).flatMap { name -> [String] in
            let path = folder.isEmpty ? name : "\(folder)/\(name)"
            if self.isDirectory(path) { return self.files(in: path, suffix: suffix) }
            return name.hasSuffix(suffix) ? [path] : []
        }
    }

    /// Names in `folder`, sorted, without dot-files.
    func entries(in folder: String) -> [String] {
        guard let stream = opendir("\(self.root)/\(folder)") else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: pointer.pointee)) { String(cString: $0) }
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names.sorted()
    }

    func exists(_ path: String) -> Bool { access("\(self.root)/\(path)", F_OK) == 0 }

    func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat("\(self.root)/\(path)", &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    func text(_ path: String) -> String { String(decoding: Self.bytes("\(self.root)/\(path)") ?? [], as: UTF8.self) }

    func lines(_ path: String) -> [Substring] { self.text(path).split(separator: "\n", omittingEmptySubsequences: false) }

    static func bytes(_ path: String) -> [UInt8]? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = fread(&chunk, 1, chunk.count, file)
            if count == 0 { return bytes }
            bytes.append(contentsOf: chunk.prefix(count))
        }
    }
}
