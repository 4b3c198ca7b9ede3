package manifest

import (
	"slices"
	"strings"
)

// words are the keys of one place in a manifest: what we offer, what we know and do not offer yet, and what only
// means something in somebody's cloud.
type words struct {
	offered, refused, noted []string
}

// What follows lists the keys of the serverless shape as of its version 3, place by place. schema.json has the
// same keys; a test compares them.

// topWords are the keys of the file.
func topWords() words {
	return words{
		offered: []string{"service", "provider", "functions", "queues", "topics", "buckets", "resources", "params", "stages", "egress"},
		refused: []string{"variablesResolutionMode", "useDotenv", "layers", "stepFunctions", "workflows", "schedules",
			"policies", "secrets"},
		noted: []string{"app", "build", "configValidationMode", "console", "custom", "dashboard", "deprecationNotificationMode",
			"disabledDeprecations", "frameworkVersion", "licenseKey", "org", "outputs", "package", "plugins", "tenant"},
	}
}

// stageWords are the keys of one stage under stages.
func stageWords() words {
	return words{offered: []string{"params"}, refused: []string{"resolvers"}, noted: []string{"observability", "integrations"}}
}

// providerWords are the keys under provider.
func providerWords() words {
	return words{
		offered: []string{"memorySize", "timeout", "environment", "httpApi"},
		refused: []string{"alb", "apiGateway", "apiKeys", "cloudFront", "eventBridge", "kms", "usagePlan", "websocket",
			"websocketsApiName", "websocketsApiRouteSelectionExpression", "resourcePolicy"},
		noted: []string{"apiName", "architecture", "cfnRole", "deploymentBucket", "deploymentMethod", "deploymentPrefix",
			"disableRollback", "ecr", "endpointType", "iam", "iamManagedPolicies", "iamRoleStatements", "kmsKeyArn",
			"lambdaHashingVersion", "layers", "logRetentionInDays", "logs", "name", "notificationArns", "profile", "region", "role",
			"rolePermissionsBoundary", "rollbackConfiguration", "runtime", "runtimeManagement", "s3", "stackName",
			"stackParameters", "stackPolicy", "stackTags", "stage", "tags", "tracing", "versionFunctions", "vpc", "vpcEndpointIds"},
	}
}

// providerHTTPAPIWords are the keys under provider.httpApi.
func providerHTTPAPIWords() words {
	return words{
		offered: []string{"cors"},
		refused: []string{"authorizers", "id", "payload"},
		noted:   []string{"disableDefaultEndpoint", "metrics", "name", "shouldStartNameWithService", "timeout", "useProviderTags"},
	}
}

// functionWords are the keys of one function.
func functionWords() words {
	return words{
		offered: []string{"handler", "memorySize", "timeout", "environment", "reservedConcurrency", "provisionedConcurrency", "isolation", "effects",
			"streaming", "events", "maximumRetryAttempts", "maximumEventAge", "destinations", "onError", "egress"},
		refused: []string{"fileSystemConfig", "image", "policies", "stream", "url", "useProvider"},
		noted: []string{"architecture", "awsKmsKeyArn", "condition", "dependsOn", "description", "disableLogs",
			"ephemeralStorageSize", "iamRoleStatements", "kmsKeyArn", "layers", "logRetentionInDays", "logs", "name", "package",
			"role", "runtime", "runtimeManagement", "snapStart", "tags", "tracing", "versionFunction", "vpc"},
	}
}

// destinationsWords are the keys under destinations.
func destinationsWords() words { return words{offered: []string{"onSuccess", "onFailure"}} }

// destinationWords are the keys of a destination that is a mapping.
func destinationWords() words { return words{offered: []string{"type", "arn"}} }

// eventWords are the keys of one event: its kind.
func eventWords() words {
	return words{
		offered: []string{"httpApi", "http", "schedule", "sqs", "sns", "s3", "eventBridge", "stream"},
		refused: []string{"activemq", "alb", "alexaSkill", "alexaSmartHome", "cloudFront", "cloudwatchEvent",
			"cloudwatchLog", "cognitoUserPool", "documentDb", "iot", "iotFleetProvisioning", "kafka", "msk",
			"rabbitmq", "websocket"},
	}
}

// httpAPIWords are the keys under an httpApi event.
func httpAPIWords() words {
	return words{
		offered: []string{"method", "path"},
		refused: []string{"authorizer"},
		noted:   []string{"operationId"},
	}
}

// httpWords are the keys under an http event.
func httpWords() words {
	return words{
		offered: []string{"method", "path", "async", "cors", "request"},
		refused: []string{"authorizer", "connectionId", "connectionType", "integration", "private", "response", "schema"},
		noted:   []string{"documentation", "operationId"},
	}
}

// requestWords are the keys under request of an http event.
func requestWords() words {
	return words{
		offered: []string{"schemas"},
		refused: []string{"contentHandling", "method", "parameters", "passThrough", "schema", "template", "uri"},
	}
}

// corsWords are the keys under cors of an http event.
func corsWords() words {
	return words{
		offered: []string{"origin", "origins", "methods", "headers", "allowCredentials", "exposedResponseHeaders", "maxAge"},
		noted:   []string{"cacheControl"},
	}
}

// httpAPICorsWords are the keys under provider.httpApi.cors.
func httpAPICorsWords() words {
	return words{offered: []string{"allowedOrigins", "allowedMethods", "allowedHeaders", "allowCredentials",
		"exposedResponseHeaders", "maxAge"}}
}

// scheduleWords are the keys under a schedule event.
func scheduleWords() words {
	return words{
		offered: []string{"rate", "enabled", "name", "input", "inputPath", "timezone", "missed"},
		refused: []string{"inputTransformer"},
		noted:   []string{"description", "groupName", "method"},
	}
}

// sqsEventWords are the keys under an sqs event.
func sqsEventWords() words {
	return words{
		offered: []string{"queue", "arn", "batchSize", "maximumBatchingWindow", "maximumConcurrency", "functionResponseType",
			"filterPatterns", "enabled"},
		noted: []string{"metrics"},
	}
}

// snsEventWords are the keys under an sns event.
func snsEventWords() words {
	return words{
		offered: []string{"topicName", "arn", "filterPolicy", "filterPolicyScope", "redrivePolicy"},
		noted:   []string{"displayName", "kmsMasterKeyId"},
	}
}

// streamWords are the keys under a stream event.
func streamWords() words {
	return words{
		offered: []string{"type", "prefix", "arn", "name", "batchSize", "batchWindow", "startingPosition", "parallelizationFactor",
			"bisectBatchOnFunctionError", "maximumRetryAttempts", "maximumRecordAgeInSeconds", "functionResponseType",
			"filterPatterns", "destinations", "enabled"},
		refused: []string{"consumer", "startingPositionTimestamp", "tumblingWindowInSeconds"},
	}
}

// streamDestinationsWords are the keys under destinations of a stream event.
func streamDestinationsWords() words { return words{offered: []string{"onFailure"}} }

// snsRedriveWords are the keys under redrivePolicy of an sns event.
func snsRedriveWords() words {
	return words{
		offered: []string{"deadLetterTargetArn", "deadLetterTargetRef"},
		refused: []string{"deadLetterTargetImport"},
	}
}

// s3EventWords are the keys under an s3 event.
func s3EventWords() words {
	return words{offered: []string{"bucket", "event", "rules", "existing"}, noted: []string{"forceDeploy"}}
}

// s3RuleWords are the keys of one of the rules of an s3 event.
func s3RuleWords() words { return words{offered: []string{"prefix", "suffix"}} }

// eventBridgeWords are the keys under an eventBridge event.
func eventBridgeWords() words {
	return words{
		offered: []string{"pattern", "schedule", "name", "enabled", "input", "inputPath", "inputTransformer", "deadLetterQueueArn", "eventBus"},
		refused: []string{"retryPolicy"},
		noted:   []string{"description"},
	}
}

// inputTransformerWords are the keys under inputTransformer of an eventBridge event.
func inputTransformerWords() words {
	return words{offered: []string{"inputPathsMap", "inputTemplate"}}
}

// resourcesWords are the keys under resources.
func resourcesWords() words {
	return words{
		offered: []string{"queues", "topics", "buckets", "Resources"},
		refused: []string{"extensions"},
		noted: []string{"AWSTemplateFormatVersion", "Conditions", "Description", "Mappings", "Metadata", "Outputs", "Parameters",
			"Transform"},
	}
}

// queueWords are the keys of a queue.
func queueWords() words {
	return words{offered: []string{"fifo", "contentBasedDeduplication", "visibilityTimeout", "delay", "retention", "receiveWait",
		"maxMessageBytes", "deadLetter", "maxReceives"}}
}

// topicWords are the keys of a topic: it has none.
func topicWords() words { return words{} }

// bucketWords are the keys of a bucket: it has none.
func bucketWords() words { return words{} }

// resourceWords are the keys of one entry of resources.Resources.
func resourceWords() words {
	return words{
		offered: []string{"Type", "Properties"},
		noted:   []string{"Condition", "DeletionPolicy", "DependsOn", "Metadata", "UpdateReplacePolicy"},
	}
}

// sqsWords are the properties of AWS::SQS::Queue.
func sqsWords() words {
	return words{
		offered: []string{"QueueName", "FifoQueue", "ContentBasedDeduplication", "VisibilityTimeout", "DelaySeconds",
			"MessageRetentionPeriod", "ReceiveMessageWaitTimeSeconds", "MaximumMessageSize", "RedrivePolicy"},
		refused: []string{"DeduplicationScope", "FifoThroughputLimit"},
		noted: []string{"KmsDataKeyReusePeriodSeconds", "KmsMasterKeyId", "RedriveAllowPolicy", "SqsManagedSseEnabled",
			"Tags"},
	}
}

// redriveWords are the keys under RedrivePolicy.
func redriveWords() words { return words{offered: []string{"deadLetterTargetArn", "maxReceiveCount"}} }

// snsWords are the properties of AWS::SNS::Topic.
func snsWords() words {
	return words{
		offered: []string{"TopicName"},
		refused: []string{"ArchivePolicy", "ContentBasedDeduplication", "FifoThroughputScope", "FifoTopic", "Subscription"},
		noted:   []string{"DataProtectionPolicy", "DeliveryStatusLogging", "DisplayName", "KmsMasterKeyId", "SignatureVersion", "Tags", "TracingConfig"},
	}
}

// s3Words are the properties of AWS::S3::Bucket.
func s3Words() words {
	return words{
		offered: []string{"BucketName"},
		noted: []string{"AccelerateConfiguration", "AccessControl", "AnalyticsConfigurations", "BucketEncryption", "CorsConfiguration",
			"IntelligentTieringConfigurations", "InventoryConfigurations", "LifecycleConfiguration", "LoggingConfiguration",
			"MetadataConfiguration", "MetadataTableConfiguration", "MetricsConfigurations", "NotificationConfiguration",
			"ObjectLockConfiguration", "ObjectLockEnabled", "OwnershipControls", "PublicAccessBlockConfiguration",
			"ReplicationConfiguration", "Tags", "VersioningConfiguration", "WebsiteConfiguration"},
	}
}

// resourceTypes are the types of CloudFormation that mean something here.
func resourceTypes() []string {
	return []string{"AWS::SQS::Queue", "AWS::SNS::Topic", "AWS::S3::Bucket"}
}

// cloudTypes are types of CloudFormation that are common beside functions, and have no effect here: a store needs
// no declaration, and there is no IAM.
func cloudTypes() []string {
	return []string{"AWS::S3::BucketPolicy", "AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable",
		"AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy", "AWS::Lambda::Permission", "AWS::SSM::Parameter", "AWS::SecretsManager::Secret"}
}

// isCloudOnly reports whether a type of CloudFormation has no effect here.
func isCloudOnly(kind string) bool {
	if slices.Contains(cloudTypes(), kind) {
		return true
	}
	for _, family := range []string{"IAM", "Logs", "KMS", "EC2", "CloudWatch", "CloudFront", "Route53", "CertificateManager", "WAFv2", "XRay"} {
		if strings.HasPrefix(kind, "AWS::"+family+"::") {
			return true
		}
	}
	return false
}
