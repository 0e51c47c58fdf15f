"""lakeFS's operations that are not offered: known by name, answered 501."""

from anabranch.api.operations import Operation

_OPEN = frozenset(
    ("externalPrincipalLogin", "stsLogin", "oauthCallback", "getAuthCapabilities", "setupCommPrefs")
)

_REPOSITORY = "/repositories/{repository}"
_BRANCH = f"{_REPOSITORY}/branches/{{branch}}"
_MULTIPART = f"{_BRANCH}/staging/pmpu"
_GROUP = "/auth/groups/{groupId}"
_USER = "/auth/users/{userId}"
_RUN = f"{_REPOSITORY}/actions/runs"

_TABLE: dict[str, tuple[tuple[str, str, str], ...]] = {
    "auth": (
        ("getAuthCapabilities", "GET", "/auth/capabilities"),
        ("listGroups", "GET", "/auth/groups"),
        ("createGroup", "POST", "/auth/groups"),
        ("getGroup", "GET", _GROUP),
        ("deleteGroup", "DELETE", _GROUP),
        ("getGroupACL", "GET", f"{_GROUP}/acl"),
        ("setGroupACL", "POST", f"{_GROUP}/acl"),
        ("listGroupMembers", "GET", f"{_GROUP}/members"),
        ("addGroupMembership", "PUT", f"{_GROUP}/members/{{userId}}"),
        ("deleteGroupMembership", "DELETE", f"{_GROUP}/members/{{userId}}"),
        ("listGroupPolicies", "GET", f"{_GROUP}/policies"),
        ("attachPolicyToGroup", "PUT", f"{_GROUP}/policies/{{policyId}}"),
        ("detachPolicyFromGroup", "DELETE", f"{_GROUP}/policies/{{policyId}}"),
        ("listPolicies", "GET", "/auth/policies"),
        ("createPolicy", "POST", "/auth/policies"),
        ("getPolicy", "GET", "/auth/policies/{policyId}"),
        ("updatePolicy", "PUT", "/auth/policies/{policyId}"),
        ("deletePolicy", "DELETE", "/auth/policies/{policyId}"),
        ("listUsers", "GET", "/auth/users"),
        ("createUser", "POST", "/auth/users"),
        ("getUser", "GET", _USER),
        ("deleteUser", "DELETE", _USER),
        ("listUserCredentials", "GET", f"{_USER}/credentials"),
        ("createCredentials", "POST", f"{_USER}/credentials"),
        ("getCredentials", "GET", f"{_USER}/credentials/{{accessKeyId}}"),
        ("deleteCredentials", "DELETE", f"{_USER}/credentials/{{accessKeyId}}"),
        ("listUserGroups", "GET", f"{_USER}/groups"),
        ("listUserPolicies", "GET", f"{_USER}/policies"),
        ("attachPolicyToUser", "PUT", f"{_USER}/policies/{{policyId}}"),
        ("detachPolicyFromUser", "DELETE", f"{_USER}/policies/{{policyId}}"),
        ("oauthCallback", "GET", "/oidc/callback"),
        ("stsLogin", "POST", "/sts/login"),
    ),
    "external": (
        ("externalPrincipalLogin", "POST", "/auth/external/principal/login"),
        ("getExternalPrincipal", "GET", "/auth/external/principals"),
        ("createUserExternalPrincipal", "POST", f"{_USER}/external/principals"),
        ("deleteUserExternalPrincipal", "DELETE", f"{_USER}/external/principals"),
        ("listUserExternalPrincipals", "GET", f"{_USER}/external/principals/ls"),
    ),
    "actions": (
        ("listRepositoryRuns", "GET", _RUN),
        ("getRun", "GET", f"{_RUN}/{{run_id}}"),
        ("listRunHooks", "GET", f"{_RUN}/{{run_id}}/hooks"),
        ("getRunHookOutput", "GET", f"{_RUN}/{{run_id}}/hooks/{{hook_run_id}}/output"),
    ),
    "pulls": (
        ("listPullRequests", "GET", f"{_REPOSITORY}/pulls"),
        ("createPullRequest", "POST", f"{_REPOSITORY}/pulls"),
        ("getPullRequest", "GET", f"{_REPOSITORY}/pulls/{{pull_request}}"),
        ("updatePullRequest", "PATCH", f"{_REPOSITORY}/pulls/{{pull_request}}"),
        ("mergePullRequest", "PUT", f"{_REPOSITORY}/pulls/{{pull_request}}/merge"),
    ),
    "repositories": (
        ("getBranchProtectionRules", "GET", f"{_REPOSITORY}/settings/branch_protection"),
        ("setBranchProtectionRules", "PUT", f"{_REPOSITORY}/settings/branch_protection"),
        ("getGCRules", "GET", f"{_REPOSITORY}/settings/gc_rules"),
        ("setGCRules", "PUT", f"{_REPOSITORY}/settings/gc_rules"),
        ("deleteGCRules", "DELETE", f"{_REPOSITORY}/settings/gc_rules"),
    ),
    "experimental": (
        ("createPresignMultipartUpload", "POST", _MULTIPART),
        ("completePresignMultipartUpload", "PUT", f"{_MULTIPART}/{{uploadId}}"),
        ("abortPresignMultipartUpload", "DELETE", f"{_MULTIPART}/{{uploadId}}"),
        ("uploadPart", "PUT", f"{_MULTIPART}/{{uploadId}}/parts/{{partNumber}}"),
        ("uploadPartCopy", "PUT", f"{_MULTIPART}/{{uploadId}}/parts/{{partNumber}}/copy"),
    ),
    "internal": (
        ("setupCommPrefs", "POST", "/setup_comm_prefs"),
        ("postStatsEvents", "POST", "/statistics"),
        ("getUsageReportSummary", "GET", "/usage-report/summary"),
        ("getGarbageCollectionConfig", "GET", "/config/garbage-collection"),
        ("internalGetBranchProtectionRules", "GET", f"{_REPOSITORY}/branch_protection"),
        ("internalCreateBranchProtectionRule", "POST", f"{_REPOSITORY}/branch_protection"),
        ("internalDeleteBranchProtectionRule", "DELETE", f"{_REPOSITORY}/branch_protection"),
        (
            "createBranchProtectionRulePreflight",
            "GET",
            f"{_REPOSITORY}/branch_protection/set_allowed",
        ),
        ("internalGetGarbageCollectionRules", "GET", f"{_REPOSITORY}/gc/rules"),
        ("internalSetGarbageCollectionRules", "POST", f"{_REPOSITORY}/gc/rules"),
        ("internalDeleteGarbageCollectionRules", "DELETE", f"{_REPOSITORY}/gc/rules"),
        ("setGarbageCollectionRulesPreflight", "GET", f"{_REPOSITORY}/gc/rules/set_allowed"),
        ("prepareGarbageCollectionCommits", "POST", f"{_REPOSITORY}/gc/prepare_commits"),
        ("prepareGarbageCollectionCommitsAsync", "POST", f"{_REPOSITORY}/gc/prepare_commits/async"),
        (
            "prepareGarbageCollectionCommitsStatus",
            "GET",
            f"{_REPOSITORY}/gc/prepare_commits/status",
        ),
        ("prepareGarbageCollectionUncommitted", "POST", f"{_REPOSITORY}/gc/prepare_uncommited"),
        ("stageObject", "PUT", f"{_BRANCH}/objects"),
        ("uploadObjectPreflight", "GET", f"{_BRANCH}/objects/stage_allowed"),
        ("CreateCommitRecord", "POST", f"{_REPOSITORY}/commits"),
        ("getMetadataObject", "GET", f"{_REPOSITORY}/metadata/object/{{type}}/{{object_id}}"),
    ),
}

OPERATIONS = tuple(
    Operation(name, method, path, tag, is_open=name in _OPEN)
    for tag, rows in _TABLE.items()
    for name, method, path in rows
)
