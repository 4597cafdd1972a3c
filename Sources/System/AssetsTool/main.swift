// Writes one Swift file with a string literal for each asset: AssetsTool OUTPUT FILE…
//
// Literals, because they cost the compiler next to nothing: `.embedInCode` makes an array of numbers, which took a hundred times as long.
// Only the C library is used, so that the tool is built in a second.
#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

func fail(_ text: String) -> Never {
    let line = Array("AssetsTool: \(text)\n".utf8)
    _ = write(STDERR_FILENO, line, line.count)
    exit(1)
}

func read(_ path: String) -> [UInt8] {
    guard let file = fopen(path, "rb") else { fail("cannot read \(path)") }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
        let count = fread(&chunk, 1, chunk.count, file)
        if count == 0 { break }
        bytes += chunk[..<count]
    }
    if ferror(file) != 0 { fail("cannot read \(path)") }
    return bytes
}

/// The text as the inside of a Swift string literal. Everything that is not a plain letter or sign stays as it is or becomes an escape, never both.
func literal(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\\": result += "\\\\"
        case "\"": result += "\\\""
        case "\n": result += "\\n"
        case "\r": result += "\\r"
        case "\t": result += "\\t"
        default:
            if scalar.value < 0x20 || scalar.value == 0x7F || scalar.properties.isDefaultIgnorableCodePoint {
                result += "\\u{\(String(scalar.value, radix: 16))}"
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
    }
    return result
}

/// Scripts and styles without indentation, empty lines and comments that have a line to themselves: nothing a browser needs, a tenth of the bytes.
func compact(_ text: String, of path: String) -> String {
    let isScript = path.hasSuffix(".js")
    guard isScript || path.hasSuffix(".css") else { return text }
    var result = ""
    for line in text.split(separator: "\n") {
        let trimmed = line.drop { $0 == " " }
        if isScript, line.count(where: { $0 == "`" }) % 2 != 0 { fail("\(path): a template literal over several lines would lose its indentation") }
        if isScript ? trimmed.hasPrefix("//") || trimmed.hasPrefix("/**") && trimmed.hasSuffix("*/") : trimmed.hasPrefix("/*") && trimmed.hasSuffix("*/") {
            continue
        }
        if !trimmed.isEmpty { result += trimmed + "\n" }
    }
    return result
}

guard CommandLine.arguments.count >= 2 else { fail("usage: AssetsTool OUTPUT FILE…") }
var source =
    "// Made from the files in Assets by AssetsTool; change those.\nextension Asset {\n    static let files: [(name: String, content: StaticString)] = [\n"
for path in CommandLine.arguments.dropFirst(2) {
    let bytes = read(path)
    guard let text = String(validating: bytes, as: UTF8.self) else { fail("\(path) is not UTF-8 text; only text can be embedded") }
    let name = path.split(separator: "/").last.map(String.init) ?? path
    source += "        (\"\(literal(name))\", \"\(literal(compact(text, of: path)))\"),\n"
}
source += "    ]\n}\n"

let output = CommandLine.arguments[1]
guard let file = fopen(output, "wb") else { fail("cannot write \(output)") }
let written = source.utf8.withContiguousStorageIfAvailable { fwrite($0.baseAddress, 1, $0.count, file) } ?? 0
guard fclose(file) == 0, written == source.utf8.count else { fail("cannot write \(output)") }
