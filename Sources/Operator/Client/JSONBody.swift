import Primitives
import Text

/// A value as a request's body.
enum JSONBody {
    static func bytes(_ value: Value) -> [UInt8] { JSONWriter.bytes(value) }
}
