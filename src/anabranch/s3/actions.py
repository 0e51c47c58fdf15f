"""Which S3 action a request is: by level, method and the sub-resource its query names.

Actions that are not offered have names too, so that the answer can say which one it was.
"""

from anabranch.s3.errors import Refused

# Sub-resource -> what its action is called, after Get, Put or Delete.
_BUCKET_RESOURCES = {
    "accelerate": "BucketAccelerateConfiguration",
    "acl": "BucketAcl",
    "analytics": "BucketAnalyticsConfiguration",
    "cors": "BucketCors",
    "encryption": "BucketEncryption",
    "intelligent-tiering": "BucketIntelligentTieringConfiguration",
    "inventory": "BucketInventoryConfiguration",
    "lifecycle": "BucketLifecycleConfiguration",
    "location": "BucketLocation",
    "logging": "BucketLogging",
    "metadataConfiguration": "BucketMetadataConfiguration",
    "metadataTable": "BucketMetadataTableConfiguration",
    "metrics": "BucketMetricsConfiguration",
    "notification": "BucketNotificationConfiguration",
    "object-lock": "ObjectLockConfiguration",
    "ownershipControls": "BucketOwnershipControls",
    "policy": "BucketPolicy",
    "policyStatus": "BucketPolicyStatus",
    "publicAccessBlock": "PublicAccessBlock",
    "replication": "BucketReplication",
    "requestPayment": "BucketRequestPayment",
    "tagging": "BucketTagging",
    "versioning": "BucketVersioning",
    "website": "BucketWebsite",
}
_OBJECT_RESOURCES = {
    "acl": "ObjectAcl",
    "attributes": "ObjectAttributes",
    "encryption": "ObjectEncryption",
    "legal-hold": "ObjectLegalHold",
    "retention": "ObjectRetention",
    "tagging": "ObjectTagging",
    "torrent": "ObjectTorrent",
}
# Actions whose names do not follow from the pattern.
_OTHERWISE = {"DeleteBucketLifecycleConfiguration": "DeleteBucketLifecycle"}
_VERBS = {"GET": "Get", "PUT": "Put", "DELETE": "Delete", "HEAD": "Get"}


def action_of(
    method: str, *, has_bucket: bool, has_key: bool, names: frozenset[str], is_copy: bool
) -> str:
    """Return the action's name; raise MethodNotAllowed when the method has none here."""
    if not has_bucket:
        found = "ListBuckets" if method in ("GET", "HEAD") else ""
    elif has_key:
        found = _object_action(method, names, is_copy=is_copy)
    else:
        found = _bucket_action(method, names)
    if not found:
        raise Refused(
            "MethodNotAllowed",
            "The specified method is not allowed against this resource.",
            Method=method,
        )
    return found


def _resource_action(method: str, names: frozenset[str], resources: dict[str, str]) -> str:
    for name in names:
        if name in resources and method in _VERBS:
            action = _VERBS[method] + resources[name]
            return _OTHERWISE.get(action, action)
    return ""


def _bucket_action(method: str, names: frozenset[str]) -> str:
    if names:
        found = _resource_action(method, names, _BUCKET_RESOURCES)
        if found:
            return found
        if method in ("GET", "HEAD"):
            if "uploads" in names:
                return "ListMultipartUploads"
            if "versions" in names:
                return "ListObjectVersions"
            if "session" in names:
                return "CreateSession"
        if method == "POST" and "delete" in names:
            return "DeleteObjects"
        if method == "POST" and "metadataTable" in names:
            return "CreateBucketMetadataTableConfiguration"
    if method == "GET":
        return "ListObjects"
    plain = {
        "HEAD": "HeadBucket",
        "PUT": "CreateBucket",
        "DELETE": "DeleteBucket",
        "POST": "PostObject",
    }
    return plain.get(method, "")


def _object_action(method: str, names: frozenset[str], *, is_copy: bool) -> str:
    if "uploadId" in names:
        if method == "PUT":
            return "UploadPartCopy" if is_copy else "UploadPart"
        uploads = {
            "POST": "CompleteMultipartUpload",
            "DELETE": "AbortMultipartUpload",
            "GET": "ListParts",
        }
        return uploads.get(method, "")
    if names:
        found = _resource_action(method, names, _OBJECT_RESOURCES)
        if found:
            return found
        if "renameObject" in names and method == "PUT":
            return "RenameObject"
    if method == "POST":
        if "uploads" in names:
            return "CreateMultipartUpload"
        if "restore" in names:
            return "RestoreObject"
        return "SelectObjectContent" if "select" in names else ""
    if method == "PUT":
        if "append" in names:
            return "AppendObject"
        return "CopyObject" if is_copy else "PutObject"
    plain = {"GET": "GetObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}
    return plain.get(method, "")
