import Primitives
import Testing
import Text

@testable import Operator

/// Messages get an id before they are sent, and stay what they are (MessageLines.swift).
struct MessageLineTests {
    private func line(_ text: String) -> MessageLine {
        var line = MessageLine(number: 1, bytes: Array(text.utf8))
        line.identify { "made" }
        return line
    }

    private func text(_ line: MessageLine) -> String { String(decoding: line.bytes, as: UTF8.self) }

    @Test func `a message with data gets its id, and no other byte changes`() {
        let found = line(#"  {"type": "a",  "data": 1.50}"#)
        #expect(text(found) == #"  {"id":"made","type": "a",  "data": 1.50}"#)
        #expect(found.madeID == "made" && found.isRepeatable)
        #expect(text(line(#"{"id":null,"data":1}"#)) == #"{"id":"made","data":1}"#)
    }

    @Test(arguments: [
        (#"{"total":9.50}"#, #"{"id":"made","data":{"total":9.50}}"#), (#"[1,2]"#, #"{"id":"made","data":[1,2]}"#),
        (#""text""#, #"{"id":"made","data":"text"}"#),
        (#"{"type":"sale","x":1}"#, #"{"id":"made","type":"sale","data":{"type":"sale","x":1}}"#),
        (#"{"event_type":"sale","x":1}"#, #"{"id":"made","type":"sale","data":{"event_type":"sale","x":1}}"#),
        (#"{"type":7,"event_type":"sale"}"#, #"{"id":"made","data":{"type":7,"event_type":"sale"}}"#), ("{}", #"{"id":"made","data":{}}"#),
        (#"{"id":"","x":1}"#, #"{"id":"made","data":{"id":"","x":1}}"#),
    ])
    func `any other JSON is put into one as its data, which it would be read as`(given: String, sent: String) {
        #expect(text(line(given)) == sent)
        #expect(line(given).isRepeatable)
    }

    @Test(arguments: [
        #"{"id":"own","type":"a","data":1}"#, #"{"id":"own","x":1}"#, #"{"specversion":"1.0","id":"e","source":"/s","type":"t"}"#,
    ])
    func `one that has an id keeps it`(text: String) {
        let found = line(text)
        #expect(self.text(found) == text && found.madeID == nil && found.isRepeatable)
    }

    @Test(arguments: ["not json", "{", #"{"specversion":"1.0"}"#, #"{"id":7,"data":1}"#])
    func `what will be refused is sent as it is`(text: String) {
        let found = line(text)
        #expect(self.text(found) == text && found.madeID == nil)
    }

    @Test func `what cannot be given one is not sent twice`() {
        let long = #"{"type":"\#(String(repeating: "t", count: 1025))","x":1}"#
        let found = line(long)
        #expect(text(found) == long && found.madeID == nil && !found.isRepeatable)
    }

    @Test func `one that is too long with it goes without`() {
        var found = line(#"{"total":9}"#)
        let stripped = found.strip()
        #expect(stripped && text(found) == #"{"total":9}"# && found.madeID == nil && !found.isRepeatable)
        let again = found.strip()
        #expect(!again)
    }

    @Test func `lines, lists and one text over several lines are told apart`() {
        #expect(MessageLines.split(Array("{\"a\":1}\n\n  \n{\"b\":2}\r\n".utf8)).map(\.number) == [1, 4])
        #expect(MessageLines.split(Array("[{\"a\":1}, 2]".utf8)).count == 2)
        #expect(MessageLines.split(Array("{\n\"a\":\n1}\n".utf8)).count == 1)
        #expect(MessageLines.split([0xEF, 0xBB, 0xBF] + Array("{\"a\":1}".utf8)).count == 1)
    }
}
