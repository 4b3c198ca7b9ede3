package manifest

import _ "embed"

// schema is the JSON schema of a manifest, draft 7. A test keeps its keys and numbers in step with the reader's.
//
//go:embed schema.json
var schema []byte

// Schema answers the JSON schema of a manifest, for editors to complete and check by. It says less than Parse: it
// does not see through variables, and knows nothing of names, ties and other files. The bytes are not to be changed.
func Schema() []byte { return schema }
