package manifest

// places are the words of every place, by the name of its definition in schema.json.
func places() map[string]words {
	return map[string]words{"manifest": topWords(), "stage": stageWords(), "provider": providerWords(), "providerHttpApi": providerHTTPAPIWords(),
		"function": functionWords(), "destinations": destinationsWords(), "destination": destinationWords(), "event": eventWords(),
		"httpApi": httpAPIWords(), "http": httpWords(), "request": requestWords(), "cors": corsWords(), "httpApiCors": httpAPICorsWords(),
		"schedule": scheduleWords(), "sqs": sqsEventWords(), "sns": snsEventWords(), "snsRedrive": snsRedriveWords(),
		"resources": resourcesWords(), "queue": queueWords(), "topic": topicWords(), "resource": resourceWords(),
		"sqsQueue": sqsWords(), "redrive": redriveWords(), "snsTopic": snsWords()}
}
