// Starts an HDFS of one name node and one data node on free ports of loopback, copies local files
// into it, prints the name node's HTTP address, and ends when its standard input does.

import java.io.File;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.hdfs.MiniDFSCluster;

public class Cluster {
    public static void main(String[] arguments) throws Exception {
        Configuration settings = new Configuration();
        settings.set("hadoop.security.authentication", "simple");
        settings.set("dfs.permissions.enabled", "false");
        File folder = new File(arguments[0]);
        MiniDFSCluster cluster = new MiniDFSCluster.Builder(settings, folder).numDataNodes(1).build();
        try {
            cluster.waitActive();
            FileSystem files = cluster.getFileSystem();
            for (int at = 1; at + 1 < arguments.length; at += 2) {
                files.copyFromLocalFile(new Path(arguments[at]), new Path(arguments[at + 1]));
            }
            int node = cluster.getDataNodes().get(0).getInfoPort();
            System.out.println("http " + cluster.getNameNode().getHttpAddress().getPort() + " " + node);
            System.out.flush();
            while (System.in.read() >= 0) {
                continue;
            }
        } finally {
            cluster.shutdown();
        }
        System.exit(0);
    }
}
