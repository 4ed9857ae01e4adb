import Primitives
import Wire

extension Message {
    /// What it takes in a command of the log, more or less.
    var bytes: Int {
        let texts = id.utf8.count + source.utf8.count + type.utf8.count + time.utf8.count + (subject?.utf8.count ?? 0)
        return texts + data.fieldBytes + Value.map(extensions).fieldBytes
    }
}
