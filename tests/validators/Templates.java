import com.pixelmed.validate.DicomSRValidator;
import javax.xml.transform.Transformer;

/** Prints what PixelMed's template validator says: the file, a tab, one message a line; "done" ends each file. */
public final class Templates {
  private static void say(String file, String message) {
    message.lines().filter(line -> !line.isBlank()).forEach(line -> System.out.println(file + "\t" + line.strip()));
  }

  /** Has the list of context groups read once for a file, not once for each of its codes: a document is known again by
   * the name that its source has, and PixelMed gives it none. */
  private static void nameSources(DicomSRValidator validator, String pass) throws ReflectiveOperationException {
    var field = DicomSRValidator.class.getDeclaredField(pass);
    field.setAccessible(true);
    var transformer = (Transformer) field.get(validator);
    var resolver = transformer.getURIResolver();
    transformer.setURIResolver((href, base) -> {
      var source = resolver.resolve(href, base);
      source.setSystemId(href);
      return source;
    });
  }

  public static void main(String[] arguments) throws Exception {
    var validator = new DicomSRValidator();
    nameSources(validator, "transformerPass1");
    nameSources(validator, "transformerPass2");
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
