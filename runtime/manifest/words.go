package manifest

// words are the keys of one place in a manifest: what we offer, what we know and do not offer yet, and what only
// means something in somebody's cloud.
type words struct {
	offered, refused, noted []string
}

// What follows lists the keys of the serverless shape as of its version 3, place by place.

// topWords are the keys of the file.
func topWords() words {
	return words{
		offered: []string{"service", "provider", "functions"},
		refused: []string{"resources", "params", "stages", "variablesResolutionMode", "useDotenv", "layers", "stepFunctions",
			"workflows", "schedules", "queues", "topics", "buckets", "policies", "egress", "secrets"},
		noted: []string{"app", "build", "configValidationMode", "console", "custom", "dashboard", "deprecationNotificationMode",
			"disabledDeprecations", "frameworkVersion", "licenseKey", "org", "outputs", "package", "plugins", "tenant"},
	}
}

// providerWords are the keys under provider.
func providerWords() words {
	return words{
		offered: []string{"memorySize", "timeout", "environment"},
		refused: []string{"alb", "apiGateway", "apiKeys", "cloudFront", "eventBridge", "httpApi", "kms", "usagePlan", "websocket",
			"websocketsApiName", "websocketsApiRouteSelectionExpression", "resourcePolicy"},
		noted: []string{"apiName", "architecture", "cfnRole", "deploymentBucket", "deploymentMethod", "deploymentPrefix",
			"disableRollback", "ecr", "endpointType", "iam", "iamManagedPolicies", "iamRoleStatements", "kmsKeyArn",
			"lambdaHashingVersion", "layers", "logRetentionInDays", "logs", "name", "notificationArns", "profile", "region", "role",
			"rolePermissionsBoundary", "rollbackConfiguration", "runtime", "runtimeManagement", "s3", "stackName",
			"stackParameters", "stackPolicy", "stackTags", "stage", "tags", "tracing", "versionFunctions", "vpc", "vpcEndpointIds"},
	}
}

// functionWords are the keys of one function.
func functionWords() words {
	return words{
		offered: []string{"handler", "memorySize", "timeout", "environment", "reservedConcurrency", "provisionedConcurrency", "isolation",
			"events"},
		refused: []string{"destinations", "effects", "egress", "fileSystemConfig", "image", "maximumEventAge",
			"maximumRetryAttempts", "onError", "policies", "stream", "url", "useProvider"},
		noted: []string{"architecture", "awsKmsKeyArn", "condition", "dependsOn", "description", "disableLogs",
			"ephemeralStorageSize", "iamRoleStatements", "kmsKeyArn", "layers", "logRetentionInDays", "logs", "name", "package",
			"role", "runtime", "runtimeManagement", "snapStart", "tags", "tracing", "versionFunction", "vpc"},
	}
}

// eventWords are the keys of one event: its kind.
func eventWords() words {
	return words{
		offered: []string{"httpApi", "http"},
		refused: []string{"activemq", "alb", "alexaSkill", "alexaSmartHome", "change", "cloudFront", "cloudwatchEvent",
			"cloudwatchLog", "cognitoUserPool", "documentDb", "eventBridge", "iot", "iotFleetProvisioning", "kafka", "msk", "queue",
			"rabbitmq", "s3", "schedule", "sns", "sqs", "stream", "topic", "upload", "websocket"},
	}
}

// httpAPIWords are the keys under an httpApi event.
func httpAPIWords() words {
	return words{
		offered: []string{"method", "path"},
		refused: []string{"authorizer"},
	}
}

// httpWords are the keys under an http event.
func httpWords() words {
	return words{
		offered: []string{"method", "path"},
		refused: []string{"async", "authorizer", "connectionId", "connectionType", "cors", "integration", "operationId",
			"private", "request", "response", "schema"},
	}
}
