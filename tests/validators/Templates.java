import com.pixelmed.validate.DicomSRValidator;

/** Prints what PixelMed's template validator says: the file, a tab, one message a line; "done" ends each file. */
public final class Templates {
  private static void say(String file, String message) {
    message.lines().filter(line -> !line.isBlank()).forEach(line -> System.out.println(file + "\t" + line.strip()));
  }

  public static void main(String[] arguments) throws Exception {
    var validator = new DicomSRValidator();
    for (var file : arguments) {
      try {
        say(file, validator.validate(file));
      } catch (Exception failure) {
        say(file, "Error: not validated: " + failure);
      }
      say(file, "done");
    }
  }
}
