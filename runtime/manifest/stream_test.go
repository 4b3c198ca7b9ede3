package manifest

import (
	"strings"
	"testing"

	"github.com/sett-run/sett/runtime/registry"
)

func TestStreams(t *testing.T) {
	app, err := Parse("sett.yaml", []byte(`functions:
  f:
    handler: f
    events:
      - stream: user/
      - stream: !GetAtt Orders.StreamArn
      - stream: arn:aws:dynamodb:us-east-1:1:table/carts/stream/2026-11-26T00:00:00.000
      - stream: {prefix: '', enabled: false}
      - stream:
          type: dynamodb
          prefix: note/
          name: notes
          batchSize: 10
          batchWindow: 5
          startingPosition: LATEST
          parallelizationFactor: 3
          bisectBatchOnFunctionError: true
          maximumRetryAttempts: -1
          maximumRecordAgeInSeconds: 7200
          functionResponseType: ReportBatchItemFailures
          filterPatterns: [{eventName: [INSERT]}]
          destinations: {onFailure: {type: sqs, arn: dead}}
resources:
  Resources: {Orders: {Type: AWS::DynamoDB::Table, Properties: {TableName: orders}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	forever := -1
	want := registry.Settings{Handler: app.Functions[0].Settings.Handler}
	for _, s := range []registry.StreamSource{{Prefix: "user/"}, {Prefix: "orders/"}, {Prefix: "carts/"}, {
		Prefix: "note/", Name: "notes", BatchSize: 10, WindowMS: 5000, Start: registry.StartLatest, Parallel: 3, Bisect: true, Retries: &forever,
		MaxAgeSeconds: 7200, ReportItems: true, Filters: app.Functions[0].Settings.Triggers[3].Stream.Filters, OnFailure: "queue:dead"}} {
		want.Triggers = append(want.Triggers, registry.Trigger{Stream: &s})
	}
	if got := app.Functions[0].Settings; !got.Equal(want) || string(got.Triggers[3].Stream.Filters[0]) != `{"eventName":["INSERT"]}` {
		t.Errorf("settings %+v", got)
	}
	for _, note := range []string{"is of table orders: of the keys that begin with orders/", "is of table carts:", "is not enabled", "kept for an hour"} {
		if !strings.Contains(strings.Join(app.Notes, "\n"), note) {
			t.Errorf("no note %q in %q", note, app.Notes)
		}
	}
}
