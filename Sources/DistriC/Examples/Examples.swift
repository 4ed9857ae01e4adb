/// What `distric init` writes: settings, two rule sets, three workflows and 1,000 messages, used by the README's tour and by the tests.
package enum Examples {
    package struct File: Sendable {
        package let path: String
        package let text: String
    }

    package static var files: [File] {
        [
            File(path: "README.md", text: readme), File(path: "distric.toml", text: settings),
            File(path: "rules/shop.yaml", text: shopRules),
            File(path: "rules/plant.yaml", text: plantRules), File(path: "workflows/order-fulfilment.yaml", text: orderFulfilment),
            File(path: "workflows/payment-review.yaml", text: paymentReview), File(path: "workflows/sensor-alarm.yaml", text: sensorAlarm),
            File(path: "messages.ndjson", text: ExampleMessages(seed: 7).lines(1000)),
        ]
    }

    static let readme = """
        1. `distric node` here starts a node with the settings of distric.toml (data in ./data, API on 127.0.0.1:8080).
        2. `distric rules apply rules workflows` in another terminal puts two rule sets and three workflows into force.
        3. `distric messages submit messages.ndjson` sends 1,000 orders, payments and sensor readings.
        4. `distric runs list`, `distric runs show ID`, `distric tasks list --state failed` show what came of them.
        5. Change a threshold in rules/plant.yaml, `distric rules apply rules`, and submit something again under a new id.
        6. Ctrl-C in the first terminal stops the node; nothing that was acknowledged is lost, also after kill -9.

        """

    static let settings = """
        # Settings of `distric node`; every key is listed by `distric config show -o wide`.
        [node]
        data = "data"

        [http]
        address = "127.0.0.1:8080"

        [worker]
        slots = 8
        # Programs that exec@1 tasks may start: patterns on real paths. The examples use sort and wc.
        allow_exec = ["/usr/bin/sort", "/usr/bin/wc"]

        """

    static let shopRules = """
        # Orders and payments of a shop.
        apiVersion: distric/v1
        kind: RuleSet
        metadata: {name: shop}
        match: all
        rules:
          - id: order-created
            when: {field: type, operator: equals, value: order.created}
            actions:
              - {workflow: order-fulfilment}
          - id: payment-large
            priority: 100
            when:
              all:
                - {field: type, operator: equals, value: payment.received}
                - {field: data.amount, operator: in_range, value: {gt: 800, lte: 50000}}
                - not: {field: data.channel, operator: equals, value: branch}
                - any:
                    - {field: data.country, operator: in, value: ["NO", "SE", "DK"]}
                    - {field: data.card, operator: prefix, value: "GC-", ignore_case: true}
            actions:
              - workflow: payment-review
                params: {payment: "${{ id }}", amount: "${{ data.amount }}", from: "${{ data.country }}"}
                timeout: 5m
        tests:
          - name: an order is fulfilled
            message: {type: order.created, data: {orderId: o-1}}
            expect: {matched: [order-created]}
          - name: a large Norwegian card payment is reviewed
            message: {type: payment.received, data: {amount: 900, country: "NO", channel: web}}
            expect: {matched: [payment-large]}
          - name: the same at a branch is not
            message: {type: payment.received, data: {amount: 900, country: "NO", channel: branch}}
            expect: {matched: []}

        """

    static let plantRules = """
        # Sensor readings of a plant, in the original shape: `conditions` with a combinator.
        apiVersion: distric/v1
        kind: RuleSet
        metadata: {name: plant}
        match: first
        rules:
          - id: overheated
            priority: 10
            conditions:
              combinator: AND
              conditions:
                - {field: type, op: equals, value: sensor.reading}
                - {field: data.celsius, op: greater_than, value: 85}
                - {field: data.device, op: wildcard, value: "pump-*"}
            actions:
              - workflow: sensor-alarm
                params: {device: "${{ data.device }}", celsius: "${{ data.celsius }}", readings: "${{ data.readings }}"}
          - id: offline
            conditions:
              - {field: type, operator: equals, value: sensor.reading}
              - {field: data.celsius, operator: exists, value: false}
            actions:
              - workflow: sensor-alarm
                params: {device: "${{ data.device }}", celsius: -1, readings: []}

        """

    static let orderFulfilment = """
        # Fan-out and fan-in: two checks beside each other, joined by the confirmation.
        apiVersion: distric/v1
        kind: Workflow
        metadata: {name: order-fulfilment, version: 1.0.0}
        timeout: 2m
        tasks:
          reserve:
            use: transform@1
            with: {value: {order: "${{ input.data.orderId }}", sku: "${{ input.data.sku }}", reserved: true}}
          price:
            use: transform@1
            with: {value: {order: "${{ input.data.orderId }}", total: "${{ input.data.total }}", currency: EUR}}
          pack:
            depends_on: [reserve]
            use: wait@1
            with: {duration: 100ms}
          confirm:
            depends_on: [pack, price]
            use: transform@1
            with:
              value:
                text: "order ${{ tasks.reserve.output.order }} for ${{ tasks.price.output.total }} ${{ tasks.price.output.currency }}"
                sku: "${{ tasks.reserve.output.sku }}"
        output: {confirmation: "${{ tasks.confirm.output.text }}"}

        """

    static let paymentReview = """
        # A branch: very large payments are held for a moment, the others are cleared at once; both ways end in the record.
        apiVersion: distric/v1
        kind: Workflow
        metadata: {name: payment-review, version: 1.0.0}
        tasks:
          score:
            use: transform@1
            with: {value: {payment: "${{ params.payment }}", amount: "${{ params.amount }}"}}
          hold:
            depends_on: [score]
            when: "${{ tasks.score.output.amount > 5000 }}"
            use: wait@1
            with: {duration: 250ms}
          clear:
            depends_on: {hold: skipped}
            use: transform@1
            with: {value: cleared}
          record:
            depends_on: {hold: done, clear: done}
            use: transform@1
            with: {value: {payment: "${{ params.payment }}", held: "${{ tasks.hold.status }}"}}
        output: {payment: "${{ tasks.record.output.payment }}", hold: "${{ tasks.record.output.held }}"}

        """

    static let sensorAlarm = """
        # A real program with retries: sort reads the readings on stdin. `idempotent: true` lets a lost attempt run again by itself.
        apiVersion: distric/v1
        kind: Workflow
        metadata: {name: sensor-alarm, version: 1.0.0}
        tasks:
          sort:
            use: exec@1
            with: {command: [sort, -n], stdin: "${{ params.readings }}", limits: {cpu_seconds: 5}}
            idempotent: true
            timeout: {attempt: 10s, queue: 1m}
            retry: {limit: {attempt: {count: 3}}, delay: 200ms, backoff: {exponential: {factor: 2, max: 2s}}, jitter: full, when: "${{ error.type != 'not_allowed' }}"}
          raise:
            depends_on: {sort: done}
            use: transform@1
            with: {value: {device: "${{ params.device }}", celsius: "${{ params.celsius }}", sorted: "${{ tasks.sort.output }}", sort: "${{ tasks.sort.status }}"}}
        output: {alarm: "${{ tasks.raise.output }}"}

        """
}
