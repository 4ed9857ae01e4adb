import Testing

@testable import Storage

/// Timers of a restored cluster wait for an operator (TimersHold.swift).
struct TimersHoldTests {
    private let temporary: TemporaryFolder

    init() throws { temporary = try TemporaryFolder() }

    @Test func `it is set until it is cleared, whoever looks`() throws {
        let folder = temporary.path
        #expect(!TimersHold.isSet(folder))
        try TimersHold.set(folder, reason: "restored")
        #expect(TimersHold.isSet(folder))
        let text = try readFile(folder + "/timers-held")
        #expect(String(decoding: text, as: UTF8.self) == "restored\n")
        try TimersHold.clear(folder)
        #expect(!TimersHold.isSet(folder))
        try TimersHold.clear(folder)
        #expect(!TimersHold.isSet(folder))
    }

    @Test func `it is there in full or not at all, and gone for good when clearing returns`() throws {
        try Crash.atEveryChange { folder in
            try FileDisk().makeFolder(folder)
        } act: { disk, folder in
            try TimersHold.set(folder, reason: "restored", disk: disk)
            try TimersHold.clear(folder, disk: disk)
        } check: { crash in
            let text = try FileDisk().contents(of: crash.folder + "/timers-held")
            #expect(text == nil || text == Array("restored\n".utf8))
            #expect(!crash.isOver || !TimersHold.isSet(crash.folder))
        }
    }
}
