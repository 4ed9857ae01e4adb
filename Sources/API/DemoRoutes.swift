import HTTPTypes
import Hummingbird
import Primitives
import Text

/// `/api/v1/demo`: kills, restarts and holds members of a demo; any other node refuses.
struct DemoRoutes: Sendable {
    let info: NodeInfo

    func add(to router: RouterGroup<NodeRequestContext>) {
        router.get("demo") { request, _ in
            let demo = try demo()
            return try info.object(request) { demo.value }
        }
        for act in DemoAct.allCases {
            router.post("demo/nodes/{id}:\(act.rawValue)") { _, context in try begin(act, try context.parameter("id")) }
        }
    }

    private func begin(_ act: DemoAct, _ member: String) throws -> Response {
        let demo = try demo()
        do throws(DemoRefusal) { return Response.json(try demo.begin(act, member), status: .accepted) } catch {
            switch error {
            case .unknown(let name, let members):
                let meant =
                    suggestion(for: name, among: members + ["leader"]).map { "; did you mean '\($0)'?" }
                    ?? "; they are \(members.joined(separator: ", ")), and 'leader' is whoever leads"
                throw Problem.notFound("the demo has no member '\(name.prefix(40))'\(meant)")
            case .refused(let detail):
                throw Problem(status: .conflict, type: "not_possible_now", title: "Not as things are", detail: detail)
            }
        }
    }

    private func demo() throws(Problem) -> any DemoControl {
        guard let demo = info.demo else {
            throw Problem(
                status: .forbidden, type: "no_demo", title: "This is no demo",
                detail:
                    "node \(info.node) is not a member of a demo: 'distric demo --coordinators 3 --workers 4' starts one whose members can be killed; a node of its own is stopped where it was started"
            )
        }
        return demo
    }
}
