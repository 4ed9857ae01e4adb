import HTTPTypes
import Primitives
import Testing

@testable import API

/// The table that tells a wrong method from a wrong path is the routes that there are.
struct RouteTableTests {
    private static func path(_ pattern: String) -> String { pattern.replacing("*", with: "x") }

    @Test func `every path of the table has a route for each of its methods`() async throws {
        try await withDoor(FalseConsensus(try .of("c-1", leader: "c-1"))) { door in
            for (path, methods) in RouteTable.routes {
                for name in methods {
                    let method = try #require(HTTPRequest.Method(name))
                    let answer = try await door.ask(method, Self.path(path))
                    #expect(!answer.detail.hasPrefix("no route"), "\(method) \(path)")
                    #expect(answer.status != 405, "\(method) \(path)")
                }
            }
        }
    }

    @Test func `another method is refused with those that there are`() async throws {
        try await withDoor(FalseConsensus(try .of("c-1", leader: "c-1"))) { door in
            for (path, methods) in RouteTable.routes {
                let answer = try await door.ask(.patch, Self.path(path))
                #expect(answer.status == 405, "\(path)")
                #expect(answer.headers[.allow] == methods.joined(separator: ", "), "\(path)")
            }
            #expect(try await door.ask(.get, "/api/v1/raft/nope").status == 404)
        }
    }
}
