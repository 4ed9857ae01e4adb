import HTTPTypes
import Primitives
import Synchronization
import Testing

@testable import API

/// Members of a demo over `/api/v1/demo` (DemoRoutes.swift).
struct DemoRoutesTests {
    /// A demo that only keeps what it is told.
    private final class ToldDemo: DemoControl {
        let told = Mutex<[String]>([])

        var value: Value { ["leader": "c-1", "members": [], "messages": ["lost": 0]] }

        func begin(_ act: DemoAct, _ member: String) throws(DemoRefusal) -> Value {
            guard ["leader", "c-1", "c-2"].contains(member) else { throw .unknown(member, members: ["c-1", "c-2"]) }
            guard act != .pause else { throw .refused("\(member) is paused, and cannot be held now: let it go on") }
            told.withLock { $0.append("\(act.rawValue) \(member)") }
            return ["id": .string(member), "state": "dying"]
        }
    }

    private func withDemo<T>(leader: String = "c-2", _ body: (Door, ToldDemo) async throws -> T) async throws -> T {
        try await withDoor(FalseConsensus(try .of("c-1", leader: leader))) { door in
            let demo = ToldDemo()
            var info = door.info
            info.demo = demo
            return try await body(Door(consensus: door.consensus, info: info), demo)
        }
    }

    @Test func `whichever member is asked does it, and passes it on to nobody`() async throws {
        try await withDemo { door, demo in
            let answer = try await door.ask(.post, "/api/v1/demo/nodes/leader:kill")
            #expect(answer.status == 202)
            #expect(answer.value["state"]?.string == "dying")
            #expect(try await door.ask(.post, "/api/v1/demo/nodes/c-2:restart").status == 202)
            #expect(try await door.ask(.post, "/api/v1/demo/nodes/c-2:resume").status == 202)
            #expect(demo.told.withLock { $0 } == ["kill leader", "restart c-2", "resume c-2"])
            #expect(try await door.ask(.get, "/api/v1/demo").value.at("messages", "lost")?.int == 0)
            #expect(door.count(.done) == 0)
        }
    }

    @Test func `a name that nobody has, and what cannot be now, are refused with what to do`() async throws {
        try await withDemo { door, demo in
            let unknown = try await door.ask(.post, "/api/v1/demo/nodes/c-9:kill")
            #expect(unknown.status == 404)
            #expect(unknown.detail.hasPrefix("the demo has no member 'c-9'; "), "\(unknown.detail)")
            let other = try await door.ask(.post, "/api/v1/demo/nodes/xyz:kill")
            #expect(other.detail.contains("they are c-1, c-2, and 'leader' is whoever leads"), "\(other.detail)")
            let refused = try await door.ask(.post, "/api/v1/demo/nodes/c-1:pause")
            #expect(refused.status == 409 && refused.detail.hasSuffix("let it go on"))
            #expect(try await door.ask(.post, "/api/v1/demo/nodes/c-1:explode").status == 404)
            #expect(try await door.ask(.get, "/api/v1/demo/nodes/c-1:kill").status == 405)
            #expect(demo.told.withLock { $0 }.isEmpty)
        }
    }

    @Test func `an ordinary node refuses, and says what has members that can be killed`() async throws {
        try await withDoor(FalseConsensus(try .of("c-1", leader: "c-1"))) { door in
            for (method, path) in [(HTTPRequest.Method.get, "/api/v1/demo"), (.post, "/api/v1/demo/nodes/leader:kill")] {
                let answer = try await door.ask(method, path)
                #expect(answer.status == 403 && answer.code == "no_demo", "\(path)")
                #expect(answer.detail.contains("'distric demo --coordinators 3 --workers 4'"))
            }
        }
    }
}
